campaign hot.yaml
16:40 bet result=win id=a
arrives 16:41 at 10:00 bet result=win id=b => LATE hot {"late_by_ms":400000; "allowed_lateness_ms":30000}
arrives 16:42 at 10:00 bet result=draw id=c   # no campaign reads it, so it is late for none
arrives 16:43 at 16:10 bet result=win id=d    # exactly as late as allowed
arrives 16:44 at 16:09 bet result=win id=e => LATE hot {"late_by_ms":31000}
