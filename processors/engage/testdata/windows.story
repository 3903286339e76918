# Tumbling: ten minutes by the clock, the next begins at 10:00.
campaign tumbling.yaml
campaign session.yaml
5:00 bet result=win id=a
9:00 bet result=win id=b
10:00 bet result=win id=c
14:00 bet result=win id=d
19:59 bet result=win id=e => SENT tumbling (c d e)
# Session: no pause of more than two minutes, and ten minutes in all.
30:00 bet result=win id=f
32:00 bet result=win id=g
34:01 bet result=win id=h => SENT tumbling (f g h)
36:01 bet result=win id=i
38:01 bet result=win id=j => SENT session (h i j)
