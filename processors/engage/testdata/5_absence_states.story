# A pause drops what would end in it: nobody looks for the purchase meanwhile. until cancels too.
campaign cart.yaml restart: true} -> restart: true}; within: 30m -> within: 30m
0:00 cart_add id=a
campaign cart.yaml state: live -> state: paused
passes 60:00
campaign cart.yaml
passes 100:00
100:00 cart_add id=b
campaign cart.yaml state: live -> state: shadow
passes 131:00 => SENT cart (b) {"shadow":true}
campaign cart.yaml
140:00 cart_add id=c
retract cart
passes 200:00
# Seven idle days do not make it forget: 20 days are asked for.
campaign cart.yaml within: 30m -> within: 20d
200:00 cart_add id=d
passes 28999:00
passes 29001:00 => SENT cart (d)
# Re-entry is spent by the first of two that are due together.
campaign cart.yaml {mode: always} -> once; name: cart -> name: one
40000:00 cart_add id=e user=eve
40031:00 cart_add id=f user=eve => SENT one (e)
40062:00 cart_add id=g user=eve => REENTRY one (f)
