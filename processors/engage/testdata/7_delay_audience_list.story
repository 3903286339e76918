# Case 7 with a list that is uploaded meanwhile: a membership counts when its version is current.
campaign welcome.yaml where: 'user.self_excluded == true' -> list: true
0:00 signup id=a => AUDIENCE welcome (a) {"reason":"self_excluded: never loaded"; "failed":"exclude"}
current self_excluded 1
1:00 signup id=b => DELAY welcome (b)
member self_excluded 2
passes 9:00
current self_excluded 2
passes 11:00 => AUDIENCE welcome (b) {"check":"send"; "list_version":2}
# At the match only: what comes later does not matter. At the send only: it does not matter before.
campaign welcome.yaml where: 'user.self_excluded == true' -> list: true; check: [match, send] -> check: [match]
20:00 signup id=c => AUDIENCE welcome (c) {"check":"match"}
21:00 signup id=d user=bob => DELAY welcome (d)
member self_excluded 2 bob
passes 31:00 => SENT welcome (d)
campaign welcome.yaml where: 'user.self_excluded == true' -> list: true; check: [match, send] -> check: [send]
40:00 signup id=e => DELAY welcome (e)
passes 50:00 => AUDIENCE welcome (e) {"check":"send"}
# Without a delay it goes out at its match.
campaign welcome.yaml where: 'user.self_excluded == true' -> list: true; check: [match, send] -> check: [send]; {delay: 10m, cancel_on: [{event: deposit}]} -> {}
60:00 signup id=f => AUDIENCE welcome (f) {"check":"send"}
61:00 signup id=g user=carl => SENT welcome (g)
# A list that is declared no more says nothing of anybody: nothing is sent.
retract Audience/self_excluded
62:00 signup id=h user=carl => AUDIENCE welcome (h) {"reason":"self_excluded: not declared"}
