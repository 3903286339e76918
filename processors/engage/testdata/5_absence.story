# Case 5: cart_add, not purchase for 30 minutes, restarted by another add, lateness 0.
campaign cart.yaml allowed_lateness: 30s -> allowed_lateness: 0s
0:00 cart_add id=a
10:00 cart_add id=b
passes 40:00
passes 40:01 => SENT cart (b) {"within_ms":1800000; "span_ms":1800000}
passes 200:00
