campaign hot.yaml
0:00 bet result=win id=a
4:00 bet result=win id=b
9:59 bet result=win id=c => SENT hot (a b c) {"times":3; "within_ms":600000; "span_ms":599000}
