# reset: any edit of the trigger starts over; keep: only another pattern does.
campaign hot.yaml priority: 20 -> on_edit: reset; page_popup -> ''
campaign hot.yaml name: hot -> name: kept; priority: 20 -> on_edit: keep; page_popup -> ''
0:00 bet result=win id=a
1:00 bet result=win id=b
campaign hot.yaml priority: 20 -> on_edit: reset; page_popup -> ''; within: 10m -> within: 11m
campaign hot.yaml name: hot -> name: kept; priority: 20 -> on_edit: keep; page_popup -> ''; within: 10m -> within: 11m
2:00 bet result=win id=c => SENT kept (a b c)
campaign hot.yaml priority: 20 -> on_edit: reset; page_popup -> ''; within: 10m -> within: 11m; title: Go on -> title: Look
3:00 bet result=win id=d
4:00 bet result=win id=e => SENT hot (c d e)
