# A zone of its own; hours within a day; hours that drop; a delay that ends in quiet hours; a zone that is none.
campaign hot.yaml name: hot -> name: zone; times: 3 -> times: 1; slot: page_popup -> slot: ''; {expire_after: 30s} -> {quiet_hours: {from: "09:00", to: "17:30", zone: America/New_York}}
campaign hot.yaml name: hot -> name: drop; times: 3 -> times: 1; slot: page_popup -> slot: ''; {expire_after: 30s} -> {quiet_hours: {from: "13:00", to: "15:00", action: cancel}}
2026-07-01T12:59Z bet result=win id=a => SENT drop, SENT zone
2026-07-01T13:00Z bet result=win id=b => QUIET drop (b) {"action":"cancel"; "zone":"UTC"; "until_ms":1782918000000}, QUIET zone (b) {"action":"defer"; "zone":"America/New_York"; "until_ms":1782941400000}
passes 2026-07-01T21:29Z
passes 2026-07-01T21:30Z => SENT zone (b)
retract zone
2026-07-01T22:00Z identify timezone=Mars/Olympus
2026-07-02T14:59Z bet result=win id=c => QUIET drop {"zone":"UTC"}
2026-07-02T15:00Z bet result=win id=d => SENT drop
2026-07-02T15:00Z identify timezone=Asia/Kathmandu
2026-07-02T15:01Z identify timezone=Local
2026-07-02T15:02Z identify name=Ann
2026-07-03T07:15Z bet result=win id=e => QUIET drop {"zone":"Asia/Kathmandu"}
2026-07-03T09:15Z bet result=win id=f => SENT drop
retract drop
campaign hot.yaml name: hot -> name: both; times: 3 -> times: 1; {expire_after: 30s} -> {delay: 2h, cancel_on: [{event: stop}], quiet_hours: {from: "22:00", to: "08:00", zone: UTC}}
2026-07-03T19:59Z bet result=win id=g => DELAY both (g)
passes 2026-07-03T21:59Z => SENT both (g)
2026-07-04T20:00Z bet result=win id=h => DELAY both (h)
passes 2026-07-04T22:00Z => QUIET both (h)
passes 2026-07-05T08:00Z => SENT both (h)
# Exceptions hold through quiet hours too.
2026-07-05T21:00Z bet result=win id=i => DELAY both
passes 2026-07-05T23:00Z => QUIET both
2026-07-06T03:00Z stop => CANCELLED both (i)
passes 2026-07-07T08:00Z
