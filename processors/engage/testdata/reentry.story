campaign hot.yaml name: hot -> name: cool; times: 3 -> times: 1; {mode: always} -> {mode: cooldown, every: 5m}; page_popup -> ''
campaign hot.yaml name: hot -> name: once; times: 3 -> times: 1; {mode: always} -> once; page_popup -> ''
0:00 bet result=win => SENT cool, SENT once
4:59 bet result=win => REENTRY cool {"mode":"cooldown"; "fired":1; "last_match_ms":1767225600000; "every_ms":300000; "until_ms":1767225900000}, REENTRY once {"mode":"once"}
5:00 bet result=win => REENTRY once, SENT cool
9:00 bet result=win user=bob => SENT cool, SENT once
9:59 bet result=win => REENTRY cool {"fired":2}, REENTRY once
# A cooldown goes by event time: this win happened when it was over, whenever it arrives.
arrives 9:59 at 10:00 bet result=win => REENTRY once, SENT cool
