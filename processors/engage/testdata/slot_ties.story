# Equal priorities: the name decides. Another slot, or none, competes with nobody.
campaign hot.yaml name: hot -> name: b; times: 3 -> times: 1
campaign hot.yaml name: hot -> name: a; times: 3 -> times: 1
campaign hot.yaml name: hot -> name: c; times: 3 -> times: 1; slot: page_popup -> slot: banner
campaign hot.yaml name: hot -> name: d; times: 3 -> times: 1; slot: page_popup -> slot: ''
campaign hot.yaml name: hot -> name: e; times: 3 -> times: 1; slot: page_popup -> slot: ''
campaign hot.yaml name: hot -> name: f; times: 3 -> times: 1; priority: 20 -> priority: -1
0:00 bet result=win => SENT a, PRIORITY b {"winner":"a"}, SENT c, SENT d, SENT e, PRIORITY f {"winner":"a"; "priority":-1}
