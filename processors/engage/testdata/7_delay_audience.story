# Case 7, self_excluded at 8:00: the response waits on and is kept back by AUDIENCE when it is due.
campaign welcome.yaml
0:00 signup id=a => DELAY welcome (a)
8:00 identify self_excluded=true
passes 9:59
passes 10:00 => AUDIENCE welcome (a) {"check":"send"; "failed":"exclude"; "audience":"self_excluded"; "where":"user.self_excluded == true"; "user":{"self_excluded":true}}
passes 20:00
# Excluded from the start: no match goes on, and nothing waits.
20:00 signup id=b => AUDIENCE welcome (b) {"check":"match"}
passes 40:00
# Taken back: sent. A deposit still cancels.
40:00 identify self_excluded=null
41:00 signup id=c => DELAY welcome (c)
passes 51:00 => SENT welcome (c)
52:00 signup id=d => DELAY welcome (d)
53:00 deposit => CANCELLED welcome (d)
60:00 signup id=e user=bob => DELAY welcome (e)
61:00 identify self_excluded=true
passes 70:00 => SENT welcome (e)
