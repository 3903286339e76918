# By ingest time nothing is late, and only the arrival counts.
campaign hot.yaml time: event -> time: ingest
arrives 60:00 at 0:00 bet result=win id=a
arrives 61:00 at 59:00 bet result=win id=b
arrives 62:00 at 30:00 bet result=win id=c => SENT hot (a b c) {"span_ms":120000}
arrives 70:00 at 70:00 bet result=win id=d
arrives 75:00 at 71:00 bet result=win id=e
arrives 80:01 at 72:00 bet result=win id=f
