campaign hot.yaml allowed_lateness: 30s -> allowed_lateness: 5m
0:00 bet result=win id=a
4:00 bet result=win id=b
again => DUPLICATE
arrives 4:05 at 2:00 bet result=win id=c => SENT hot (a c b)
