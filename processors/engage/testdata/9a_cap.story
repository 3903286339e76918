# Case 9a: 2 of a channel in rolling 24 hours, half-open: at 10:00 the one of yesterday 10:00 is out.
campaign hot.yaml times: 3 -> times: 1; slot: page_popup -> caps: [{scope: channel, max: 2, per: 24h}]
2026-05-01T10:00Z bet result=win id=a => SENT hot
2026-05-01T15:00Z bet result=win id=b => SENT hot
2026-05-01T20:00Z bet result=win id=c => CAP hot (c) {"scope":"channel"; "max":2; "per_ms":86400000; "count":2; "until_ms":1777716000000}
2026-05-02T09:59Z bet result=win id=d => CAP hot
2026-05-02T10:00Z bet result=win id=e => SENT hot
2026-05-02T14:59Z bet result=win id=f => CAP hot
2026-05-02T14:59Z bet result=win id=f user=bob => SENT hot
