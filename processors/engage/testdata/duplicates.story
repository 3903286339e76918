campaign hot.yaml
0:00 bet result=win id=a
again => DUPLICATE
again => DUPLICATE
0:01 bet result=win id=a user=bob     # ids are a user's own
0:02 bet result=win                   # no id: each record is an event of its own
again => SENT hot
0:04 bet result=win id=a => DUPLICATE
