# Case 11: new content, or another number of times, keeps the user's progress.
campaign hot.yaml
campaign hot.yaml name: hot -> name: more; page_popup -> ''
campaign hot.yaml name: hot -> name: other; page_popup -> ''
0:00 bet result=win id=a
1:00 bet result=win id=b
campaign hot.yaml popup/hot -> popup/new
campaign hot.yaml name: hot -> name: more; times: 3 -> times: 4; page_popup -> ''
campaign hot.yaml name: hot -> name: other; "win" -> "draw"; page_popup -> ''
2:00 bet result=win id=c => SENT hot (a b c)
3:00 bet result=win id=d => SENT more (a b c d)
# Another pattern starts afresh.
3:10 bet result=draw id=e
3:20 bet result=draw id=f
3:30 bet result=draw id=g => SENT other (e f g)
