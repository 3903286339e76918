# Only shadow and live look at events; a pause keeps the progress, a retraction does not.
campaign hot.yaml
0:00 bet result=win id=a
campaign hot.yaml state: live -> state: paused
0:01 bet result=win id=b
campaign hot.yaml
0:02 bet result=win id=c
0:03 bet result=win id=d => SENT hot (a c d)
0:04 bet result=win id=e
0:05 bet result=win id=f
retract hot
0:06 bet result=win id=g
campaign hot.yaml name: hot -> name: new
0:07 bet result=win id=h
campaign hot.yaml
0:08 bet result=win id=i
0:09 bet result=win id=j => SENT new (h i j)
0:10 bet result=win id=k => SENT hot (i j k)
campaign hot.yaml state: live -> state: draft
campaign hot.yaml name: hot -> name: new; state: live -> state: archived
0:11 bet result=win
0:12 bet result=win
0:13 bet result=win
