# Case 4: view, add, checkout within 15 minutes: the second view is the one that counts.
campaign journey.yaml
0:00 view id=v1
10:00 view id=v2
12:00 add id=a
20:00 checkout id=c => SENT journey (v2 a c) {"within_ms":900000; "span_ms":600000}
# What matched is used up.
21:00 add id=a2
22:00 checkout id=c2
# Add before view: none.
0:00 add id=a user=bob
1:00 view id=v user=bob
2:00 checkout id=c user=bob
# Exactly 15 minutes, and a second more.
0:00 view id=v user=cat
5:00 add id=a user=cat
15:00 checkout id=c user=cat => SENT journey (v a c) {"span_ms":900000}
0:00 view id=v user=dan
5:00 add id=a user=dan
15:01 checkout id=c user=dan
