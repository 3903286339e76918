# Case 5: a purchase at the deadline itself is in time.
campaign cart.yaml allowed_lateness: 30s -> allowed_lateness: 0s
0:00 cart_add id=a
10:00 cart_add id=b
40:00 purchase id=p
passes 200:00
# Armed again, by an add after it.
200:00 cart_add id=c
passes 231:00 => SENT cart (c)
