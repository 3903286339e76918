campaign hot.yaml
0:00 bet result=win id=a
4:00 bet result=win id=b
5:00 bet result=loss id=l
6:00 bet result=win id=c
7:00 bet result=win id=d
8:00 bet result=win id=e => SENT hot (c d e)
