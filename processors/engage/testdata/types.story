# identify and alias are counted and step no campaign.
campaign hot.yaml event: bet, where: 'event.result == "win"' -> event: page; times: 3 -> times: 2
0:00 page id=a
0:01 identify id=b
0:02 alias id=c
0:03 page id=d => SENT hot (a d)
