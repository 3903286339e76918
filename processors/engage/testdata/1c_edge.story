campaign hot.yaml
0:00 bet result=win id=a
0:00 bet result=win id=a user=bob
5:00 bet result=win id=b
5:00 bet result=win id=b user=bob
10:00 bet result=win id=c => SENT hot (a b c) {"span_ms":600000}
10:01 bet result=win id=c user=bob
