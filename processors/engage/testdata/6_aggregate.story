# Case 6: more than 500 deposited within an hour: once, when it rises above.
campaign deposits.yaml
0:00 deposit amount=200 id=a
30:00 deposit amount=200 id=b
50:00 deposit amount=150 id=c => SENT deposits (a b c) {"number":550; "span_ms":3000000}
55:00 deposit amount=10 id=d
# It fell back to 160 and rises again.
110:00 deposit amount=341 id=e => SENT deposits (c d e) {"number":501}
0:00 deposit amount=200 id=a user=bob
30:00 deposit amount=200 id=b user=bob
61:00 deposit amount=150 id=c user=bob
# No number, no part of it; numbers compare whatever their form.
0:00 deposit amount=lots id=a user=cat
1:00 deposit id=b user=cat
2:00 deposit amount=500.5 id=c user=cat => SENT deposits (c) {"number":500.5}
