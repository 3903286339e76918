# At the end of the night those that waited compete for their slots, by priority then name, and for the caps.
campaign gated.yaml name: hot -> name: low; priority: 20 -> priority: 10; {expire_after: 30s} -> {quiet_hours: {from: "22:00", to: "08:00"}}
campaign gated.yaml name: hot -> name: high; {expire_after: 30s} -> {quiet_hours: {from: "22:00", to: "08:00"}}; {mode: always} -> once
campaign gated.yaml name: hot -> name: other; slot: page_popup -> slot: banner; {expire_after: 30s} -> {quiet_hours: {from: "22:00", to: "08:00"}}; caps: [] -> caps: [{scope: campaign, max: 1, per: 1h}]; slot: banner -> slot: ''
2026-01-05T23:00Z bet id=a => QUIET high, QUIET other, QUIET low
2026-01-06T01:00Z bet id=b => REENTRY high, QUIET other, QUIET low
passes 2026-01-06T08:00Z => SENT high (a), SENT other (a), CAP other (b), PRIORITY low (a) {"winner":"high"}, PRIORITY low (b) {"winner":"high"}
2026-01-06T08:01Z bet id=c => REENTRY high, CAP other, SENT low
