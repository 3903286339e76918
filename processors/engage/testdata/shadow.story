# Shadow decides and records, sends nothing, takes no slot from the live, and what it spent of the
# re-entry is given back when it goes live.
campaign hot.yaml name: hot -> name: quiet; state: live -> state: shadow; times: 3 -> times: 1; priority: 20 -> priority: 99; {mode: always} -> once
campaign hot.yaml times: 3 -> times: 1
0:00 bet result=win => SENT quiet {"shadow":true}, SENT hot
0:01 bet result=win => REENTRY quiet {"shadow":true; "mode":"once"}, SENT hot
arrives 0:40 at 0:40 bet result=win => REENTRY quiet {"shadow":true}, SENT hot
arrives 0:41 at 0:00 bet result=win => LATE quiet {"shadow":true}, LATE hot
campaign hot.yaml name: hot -> name: quiet; times: 3 -> times: 1; priority: 20 -> priority: 99; {mode: always} -> once
0:42 bet result=win => SENT quiet, PRIORITY hot {"winner":"quiet"}
0:43 bet result=win => REENTRY quiet, SENT hot
# A shadow loses to the live above it.
campaign hot.yaml name: hot -> name: low; state: live -> state: shadow; times: 3 -> times: 1; priority: 20 -> priority: 1; {mode: always} -> once
0:44 bet result=win => REENTRY quiet, SENT hot, PRIORITY low {"shadow":true; "winner":"hot"}
