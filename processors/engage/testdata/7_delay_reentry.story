# What waits has its re-entry reserved; what is cancelled gives it back.
campaign hot.yaml times: 3 -> times: 1; {mode: always} -> once; {expire_after: 30s} -> {delay: 10m, cancel_on: [{event: deposit}]}
0:00 bet result=win id=a => DELAY hot
1:00 bet result=win id=b => REENTRY hot {"mode":"once"; "fired":1}
2:00 deposit => CANCELLED hot (a)
3:00 bet result=win id=c => DELAY hot
passes 13:00 => SENT hot (c)
14:00 bet result=win id=d => REENTRY hot
