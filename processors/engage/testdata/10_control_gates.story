# The control group passes every gate before: re-entry, caps and the slot count for it as if it had been sent,
# and no other campaign is held back by what nobody saw.
campaign gated.yaml experiment: {} -> experiment: {holdout: 10%, salt: hot-streak/holdout/1}; {mode: always} -> {mode: cooldown, every: 5m}; caps: [] -> caps: [{scope: channel, max: 2, per: 1h}]
campaign gated.yaml name: hot -> name: low; priority: 20 -> priority: 10; caps: [] -> caps: [{scope: channel, max: 1, per: 1h}]
0:00 bet id=a user=u0 => CONTROL hot, PRIORITY low {"winner":"hot"}
1:00 bet id=b user=u0 => REENTRY hot, SENT low
2:00 bet id=c user=u0 => REENTRY hot, CAP low
5:00 bet id=d user=u0 => CAP hot {"count":2}, PRIORITY low
60:00 bet id=e user=u0 => CONTROL hot, PRIORITY low
# In shadow so too.
campaign gated.yaml state: live -> state: shadow; experiment: {} -> experiment: {holdout: 10%, salt: hot-streak/holdout/1}
70:00 bet id=f user=u0 => CONTROL hot {"shadow":true}, SENT low
