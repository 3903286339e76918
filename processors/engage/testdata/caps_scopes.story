# Caps count across campaigns by channel, tag or all of them; all must have room.
campaign gated.yaml name: hot -> name: a; slot: page_popup -> slot: ''; caps: [] -> caps: [{scope: "tag:promo", max: 2, per: 1h}, {scope: campaign, max: 9, per: 1h}]; event: bet -> event: x
campaign gated.yaml name: hot -> name: b; slot: page_popup -> slot: ''; [promo] -> [news]; caps: [] -> caps: [{scope: "tag:news", max: 1, per: 1h}]; event: bet -> event: y
campaign gated.yaml name: hot -> name: c; slot: page_popup -> slot: ''; [promo] -> [news, promo]; event: bet -> event: z
campaign gated.yaml name: hot -> name: d; slot: page_popup -> slot: ''; [promo] -> []; caps: [] -> caps: [{scope: global, max: 4, per: 1h}]; event: bet -> event: w
0:00 x id=1 => SENT a
1:00 z id=2 => SENT c
2:00 x id=3 => CAP a {"scope":"tag:promo"; "count":2}
2:01 y id=4 => CAP b {"scope":"tag:news"; "count":1}
2:02 w id=5 => SENT d
2:03 w id=6 => SENT d
2:04 w id=7 => CAP d {"scope":"global"; "count":4; "until_ms":1767229200000}
60:00 w id=8 => SENT d
60:01 x id=9 => SENT a
61:00 y id=10 => SENT b
# A new cap knows what was sent lately.
campaign gated.yaml name: hot -> name: new; slot: page_popup -> slot: ''; caps: [] -> caps: [{scope: channel, max: 2, per: 1h}]; event: bet -> event: v
61:30 v id=11 => CAP new {"count":5}
