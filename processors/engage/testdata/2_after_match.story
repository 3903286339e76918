campaign hot.yaml
campaign hot.yaml name: hot -> name: next; skip_past_last -> skip_to_next; page_popup -> other
0:00 bet result=win id=a
1:00 bet result=win id=b
2:00 bet result=win id=c => SENT hot (a b c), SENT next (a b c)
3:00 bet result=win id=d => SENT next (b c d)
4:00 bet result=win id=e => SENT next (c d e)
5:00 bet result=win id=f => SENT hot (d e f), SENT next (d e f)
