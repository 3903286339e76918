# What may be late is waited for. Without restart the first add counts, and the ones that follow it
# go with it.
campaign cart.yaml
campaign cart.yaml name: cart -> name: first; restart: true -> restart: false; priority: 20 -> priority: 10
0:00 cart_add id=a
10:00 cart_add id=b
passes 30:30
passes 30:31 => SENT first (a)
passes 40:30
passes 40:31 => SENT cart (b)
# Late, but not too late: the purchase happened before the deadline.
50:00 cart_add id=c
arrives 80:20 at 79:59 purchase id=p
passes 200:00
# An event from after deadline and lateness decides it before the time has passed: by its clock all
# that could cancel would be late.
200:00 cart_add id=d
arrives 201:00 at 231:00 cart_add id=e => SENT cart (d), SENT first (d)
arrives 201:01 at 231:00 purchase id=q
passes 300:00
