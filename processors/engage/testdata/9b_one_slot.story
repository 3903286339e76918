# The loser's re-entry stays unspent: it wins once the slot is free.
campaign hot.yaml name: hot -> name: low; priority: 20 -> priority: 10; always -> once
campaign hot.yaml name: hot -> name: high; always -> once
0:00 bet result=win id=a
0:01 bet result=win id=b
0:02 bet result=win id=c => SENT high (a b c), PRIORITY low (a b c) {"slot":"page_popup"; "winner":"high"; "winner_priority":20; "priority":10}
0:03 bet result=win id=d
0:04 bet result=win id=e
0:05 bet result=win id=f => REENTRY high (d e f) {"mode":"once"; "fired":1}, SENT low (d e f)
0:06 bet result=win id=g
0:07 bet result=win id=h
0:08 bet result=win id=i => REENTRY high, REENTRY low
