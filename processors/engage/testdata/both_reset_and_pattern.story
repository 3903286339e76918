# An event that is both resets first and counts then.
campaign hot.yaml until: [{event: bet, where: 'event.result == "loss"'}] -> until: [{event: bet, where: 'event.amount > 100'}, {event: logout}]; times: 3 -> times: 2
0:00 bet result=win amount=5 id=a
0:01 bet result=win amount=500 id=b
0:02 bet result=win amount=5 id=c => SENT hot (b c)
0:03 bet result=win id=d
0:04 logout
0:05 bet result=win id=e
0:06 bet result=win id=f => SENT hot (e f)
