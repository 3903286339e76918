campaign hot.yaml
0:00 bet result=win id=a
1:00 bet result=win id=b
2:00 bet result=win id=c => SENT hot (a b c)
arrives 2:10 at 1:30 bet result=loss id=l
3:00 bet result=win id=d
4:00 bet result=win id=e
