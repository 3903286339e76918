campaign hot.yaml
0:00 bet result=win id=a
6:00 bet result=win id=b
11:00 bet result=win id=c
15:00 bet result=win id=d => SENT hot (b c d)
