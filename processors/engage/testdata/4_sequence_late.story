# The add comes late and completes the match; a duplicate of it does nothing.
campaign journey.yaml allowed_lateness: 30s -> allowed_lateness: 5m
0:00 view id=v
3:00 checkout id=c
arrives 4:00 at 2:00 add id=a => SENT journey (v a c) {"span_ms":180000}
again => DUPLICATE
arrives 4:01 at 2:30 checkout id=c0
arrives 10:00 at 10:00 view id=v2
arrives 10:01 at 4:59 add id=a2 => LATE journey {"late_by_ms":301000}
