# Case 11 by on_edit: the same edit, times 3 -> 4 at 1:30, keeps what came before it, or starts over.
campaign hot.yaml name: hot -> name: kept; priority: 20 -> on_edit: keep; page_popup -> ''
campaign hot.yaml name: hot -> name: reset; priority: 20 -> on_edit: reset; page_popup -> ''
campaign hot.yaml name: hot -> name: words; priority: 20 -> on_edit: reset; page_popup -> ''
0:00 bet result=win id=a
1:00 bet result=win id=b
campaign hot.yaml name: hot -> name: kept; priority: 20 -> on_edit: keep; page_popup -> ''; times: 3 -> times: 4
campaign hot.yaml name: hot -> name: reset; priority: 20 -> on_edit: reset; page_popup -> ''; times: 3 -> times: 4
# Another content is no edit of the trigger.
campaign hot.yaml name: hot -> name: words; priority: 20 -> on_edit: reset; page_popup -> ''; popup/hot -> popup/new
2:00 bet result=win id=c => SENT words (a b c)
3:00 bet result=win id=d => SENT kept (a b c d)
4:00 bet result=win id=e
5:00 bet result=win id=f => SENT reset (c d e f), SENT words (d e f)
# Two edits, one after the other.
campaign hot.yaml name: hot -> name: reset; priority: 20 -> on_edit: reset; page_popup -> ''; times: 3 -> times: 2
6:00 bet result=win id=g
campaign hot.yaml name: hot -> name: reset; priority: 20 -> on_edit: reset; page_popup -> ''; times: 3 -> times: 2; within: 10m -> within: 11m
7:00 bet result=win id=h => SENT kept (e f g h)
8:00 bet result=win id=i => SENT reset (h i), SENT words (g h i)
