# Two users that say of each other to be the same end in one row, or in two, but never go round for ever.
campaign hot.yaml
0:00 bet id=a result=win user=x
0:01 bet id=b result=win user=y
0:02 alias id=p prev=x user=y
0:03 alias id=q prev=y user=x
0:04 bet id=c result=win user=x => SENT (a b c)
