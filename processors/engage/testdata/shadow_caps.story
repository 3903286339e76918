# What a shadow spends counts for itself only, and is given back when it goes live.
campaign gated.yaml name: hot -> name: ghost; state: live -> state: shadow; slot: page_popup -> slot: ''; caps: [] -> caps: [{scope: channel, max: 1, per: 1h}]
campaign gated.yaml slot: page_popup -> slot: ''; caps: [] -> caps: [{scope: channel, max: 1, per: 1h}]; event: bet -> event: win
0:00 bet id=a => SENT ghost {"shadow":true}
1:00 bet id=b => CAP ghost {"shadow":true; "count":1}
2:00 win id=c => SENT hot
campaign gated.yaml name: hot -> name: ghost; slot: page_popup -> slot: ''; caps: [] -> caps: [{scope: channel, max: 2, per: 1h}]
3:00 bet id=d => SENT ghost
4:00 bet id=e => CAP ghost {"count":2}
