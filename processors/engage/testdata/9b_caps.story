# Case 9b: who loses the slot has its re-entry and its caps unspent.
campaign gated.yaml name: hot -> name: low; priority: 20 -> priority: 10; {mode: always} -> once; caps: [] -> caps: [{scope: campaign, max: 1, per: 1h}]
campaign gated.yaml name: hot -> name: high; {mode: always} -> once; caps: [] -> caps: [{scope: campaign, max: 1, per: 1h}, {scope: channel, max: 2, per: 1h}]
0:00 bet id=a => SENT high, PRIORITY low {"slot":"page_popup"; "winner":"high"; "winner_priority":20; "priority":10}
0:01 bet id=b => REENTRY high, SENT low
0:02 bet id=c => REENTRY high, REENTRY low
