# Traits of identify and computed traits, seen by the event that comes right after, and by itself.
campaign trends.yaml
0:00 deposit id=1 amount=499 => AUDIENCE cashback (1) {"failed":"include"; "audience":"big_spenders"; "user":{"deposits_7d":499}}
0:01 deposit id=2 amount=1 => AUDIENCE cashback (2) {"failed":"where"}
0:02 identify country=FR
0:03 deposit id=3 amount=0 => AUDIENCE cashback (3) {"failed":"where"; "user":{"country":"FR"}}
0:04 identify country=IE plan=gold
0:05 deposit id=4 amount=0 => SENT cashback (4)
# A duplicate counts nowhere, a late event where it belongs, another user for himself.
again => DUPLICATE
0:06 deposit id=5 amount=500 user=bob => AUDIENCE cashback (5) {"failed":"where"}
# After 7 days the deposits are out of the window, to the pane of 6 hours.
11000:00 deposit id=6 amount=1 => AUDIENCE cashback (6) {"user":{"deposits_7d":1}}
# Different games within the hour, counted for the country; the count holds the event at hand.
11001:00 bet id=10 game=a
11001:01 identify country=GB
11002:00 bet id=11 game=a
11003:00 bet id=12 game=b
11004:00 bet id=13 game=b
11005:00 bet id=14 game=c => SENT explorer (14)
11030:00 bet id=15 game=c
# Another definition starts afresh.
campaign trends.yaml over: 7d -> over: 6d
11031:00 deposit id=16 amount=500 => SENT cashback (16)
campaign trends.yaml
11032:00 deposit id=17 amount=2 => AUDIENCE cashback (17) {"user":{"deposits_7d":2}} # what it was is gone
