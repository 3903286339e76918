# Case 7: a delay of 10 minutes, cancelled by a deposit.
campaign hot.yaml times: 3 -> times: 1; event: bet, where: 'event.result == "win"' -> event: signup; {expire_after: 30s} -> {delay: 10m, cancel_on: [{event: deposit, where: 'event.amount > 0'}, {event: self_excluded}], expire_after: 30s}
0:00 signup id=a => DELAY hot (a) {"delay_ms":600000; "until_ms":1767226200000}
4:00 deposit amount=0 id=none
5:00 deposit amount=10 id=d => CANCELLED hot (a) {"reason":"event"; "due_ms":1767226200000}
passes 11:00
# Neither: sent when the delay is over, and it expires 30 s from then.
20:00 signup id=b => DELAY hot (b)
passes 29:59
passes 30:00 => SENT hot (b) {"expires_ms":1767227430000}
passes 60:00
# Self-excluded at 8:00. A deposit from before the match, or of another user, is no exception.
60:00 signup id=c => DELAY hot
arrives 61:00 at 59:59 deposit amount=10 id=early
61:00 deposit amount=10 id=other user=bob
68:00 self_excluded id=x => CANCELLED hot (c)
passes 80:00
# At the very end of the delay it is too late to cancel: sent, and then comes the deposit.
80:00 signup id=e => DELAY hot
90:00 deposit amount=10 id=late => SENT hot (e)
passes 100:00
