# Each cart has its own half hour; logout ends all of them.
campaign carts.yaml
0:00 cart_add cart_id=1 id=a
1:00 cart_add cart_id=two id=b
2:00 cart_add id=none
3:00 cart_add cart_id=1.0 id=c
10:00 purchase cart_id=two id=p
20:00 cart_add cart_id=3 id=d
passes 33:30
passes 33:31 => SENT carts (c)
arrives 50:00 at 50:00 purchase cart_id=3 id=q
60:00 cart_add cart_id=4 id=e
61:00 cart_add cart_id=5 id=f
70:00 logout id=l
passes 100:00
arrives 100:00 at 20:00 cart_add cart_id=6 id=g => LATE carts
