# A list is refreshed for all users at once, and nobody sees half of it.
campaign vip.yaml
0:00 bet id=1 => AUDIENCE offer (1) {"failed":"include"; "reason":"vip: never loaded"}
member vip 10
1:00 bet id=2 => AUDIENCE offer (2)
current vip 10
2:00 bet id=3 => SENT offer (3)
3:00 bet id=4 user=bob => AUDIENCE offer (4) {"audience":"vip"; "list_version":10}
# The next version is under way: ann is in it later, bob will be, cat was never.
member vip 20 bob
4:00 bet id=5 => SENT offer (5)
5:00 bet id=6 user=bob => AUDIENCE offer (6)
current vip 20
6:00 bet id=7 => AUDIENCE offer (7) {"list_version":20}
7:00 bet id=8 user=bob => SENT offer (8)
# An older version never comes back, and its members are none.
current vip 10
member vip 10 cat
8:00 bet id=9 user=cat => AUDIENCE offer (9) {"list_version":20}
9:00 bet id=10 user=bob => SENT offer (10)
# Again the same member: nothing.
member vip 20 bob
again
10:00 bet id=11 user=bob => SENT offer (11)
