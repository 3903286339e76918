# Case 5: a purchase a second after the deadline: it fired at 40:00.
campaign cart.yaml allowed_lateness: 30s -> allowed_lateness: 0s
0:00 cart_add id=a
10:00 cart_add id=b
40:01 purchase id=p => SENT cart (b) {"span_ms":1800000}
passes 200:00
