# What an anonymous id said and did is the user's: traits, computed traits; what the user said wins.
campaign trends.yaml
0:00 identify id=i0 anon=phone country=FR plan=gold
0:01 deposit id=1 amount=300 anon=phone => AUDIENCE cashback (1)
0:02 identify id=i1 user=ann country=IE
0:03 deposit id=2 amount=200 user=ann => AUDIENCE cashback (2) {"user":{"deposits_7d":200}}
0:04 identify id=i2 anon=phone user=ann
0:05 deposit id=3 amount=1 user=ann => SENT cashback (3)
# The same through the pointer, and after an erase nothing of it is known.
0:06 deposit id=4 amount=1 anon=phone => SENT cashback (4)
erase 0:07 ann => ERASED
lift 0:08 ann => LIFTED
0:09 deposit id=5 amount=1 user=ann => AUDIENCE cashback (5) {"user":{"deposits_7d":1}}
