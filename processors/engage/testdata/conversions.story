# What the campaign is for, within its time after SENT or CONTROL, once for each match.
campaign gated.yaml conversion: {} -> conversion: {events: [{event: deposit, within: 10m, where: 'event.amount > 0'}, {event: upgrade, within: 1h}]}; experiment: {} -> experiment: {holdout: 10%, salt: hot-streak/holdout/1, variants: [{name: x, weight: 1}]}
0:00 bet id=a user=u42 => SENT hot
0:00 bet id=a user=u0 => CONTROL hot
1:00 deposit id=none amount=0 user=u42
2:00 deposit id=d amount=5 user=u42 => CONVERTED hot {"decided_ms":1767225600000; "after_ms":120000; "within_ms":600000}
3:00 deposit id=e amount=5 user=u42
10:00 deposit id=d amount=5 user=u0 => CONVERTED hot {"after_ms":600000; "control":true}
20:00 bet id=b user=u42 => SENT hot
20:01 bet id=c user=u42 => SENT hot
30:01 deposit id=f amount=5 user=u42 => CONVERTED hot {"after_ms":600000}
31:00 deposit id=g amount=5 user=u42
80:00 upgrade id=h user=u42 => CONVERTED hot {"after_ms":3600000; "within_ms":3600000}
# One that happened before does not count; one that comes late, but within the lateness allowed, does.
100:00 bet id=i user=u42 => SENT hot
arrives 100:10 at 99:59 upgrade id=j user=u42
arrives 160:20 at 160:00 upgrade id=k user=u42 => CONVERTED hot
170:00 bet id=l user=u42 => SENT hot
arrives 230:31 at 230:00 upgrade id=m user=u42
