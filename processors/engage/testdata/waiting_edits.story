# What waits is decided by the campaign as it is when its time comes.
campaign gated.yaml {expire_after: 30s} -> {delay: 10m}
0:00 bet id=a => DELAY hot
campaign gated.yaml {expire_after: 30s} -> {delay: 10m}; state: live -> state: paused
passes 10:00 => CANCELLED hot (a) {"reason":"the campaign is paused"}
campaign gated.yaml {expire_after: 30s} -> {delay: 10m}
20:00 bet id=b => DELAY hot
retract hot
passes 30:00 => CANCELLED hot (b) {"reason":"the campaign is gone"}
campaign gated.yaml {expire_after: 30s} -> {delay: 10m}; state: live -> state: shadow
40:00 bet id=c => DELAY hot {"shadow":true}
passes 50:00 => SENT hot (c) {"shadow":true}
60:00 bet id=d => DELAY hot
campaign gated.yaml {expire_after: 30s} -> {delay: 10m, expire_after: 1m}; caps: [] -> caps: [{scope: campaign, max: 1, per: 1h}]
passes 70:00 => CANCELLED hot (d) {"reason":"it was decided in shadow"}
71:00 bet id=e => DELAY hot
72:00 bet id=f => DELAY hot
campaign gated.yaml experiment: {} -> experiment: {holdout: 100%}
passes 81:00 => CONTROL hot (e)
campaign gated.yaml caps: [] -> caps: [{scope: campaign, max: 1, per: 1h}]
passes 82:00 => CAP hot (f)
