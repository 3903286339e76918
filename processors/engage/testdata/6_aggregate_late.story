# A late deposit completes the sum of a moment before; what was fired is not fired again.
campaign deposits.yaml allowed_lateness: 30s -> allowed_lateness: 5m
0:00 deposit amount=300 id=a
4:00 deposit amount=100 id=b
arrives 4:01 at 3:00 deposit amount=150 id=c => SENT deposits (a c b) {"number":550}
arrives 4:02 at 2:00 deposit amount=100 id=d
arrives 5:00 at 5:00 deposit amount=100 id=e
