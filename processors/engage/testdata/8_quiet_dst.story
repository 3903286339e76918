# Case 8: quiet until 8:00 by the user's clock, which is put forward that night; of bob nothing is known.
campaign hot.yaml times: 3 -> times: 1; {expire_after: 30s} -> {expire_after: 30s, quiet_hours: {from: "22:00", to: "08:00", zone: user, action: defer}}
2026-03-28T23:00Z identify timezone=Europe/London
2026-03-28T23:30Z bet result=win id=a => QUIET hot (a) {"action":"defer"; "zone":"Europe/London"; "until_ms":1774767600000}
2026-03-28T23:30Z bet result=win id=x user=bob => QUIET hot {"zone":"UTC"; "until_ms":1774771200000}
passes 2026-03-29T06:59Z
passes 2026-03-29T07:00Z => SENT hot (a) {"expires_ms":1774767630000}
passes 2026-03-29T08:00Z => SENT hot (x) {"expires_ms":1774771230000}
# The night in October is an hour longer.
2026-10-24T22:30Z bet result=win id=b => QUIET hot (b) {"until_ms":1792915200000}
passes 2026-10-25T07:59Z
passes 2026-10-25T08:00Z => SENT hot (b)
# The first minute that is not quiet, and the first that is.
2026-10-25T08:00Z bet result=win id=c => SENT hot
2026-10-25T21:59Z bet result=win id=d => SENT hot
2026-10-25T22:00Z bet result=win id=e => QUIET hot
