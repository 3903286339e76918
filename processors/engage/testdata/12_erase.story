# Worked case 12: W 0:00 1:00; erase 1:30; W 2:00: row and timer are gone; SUPPRESSED, no new row.
campaign hot.yaml
0:00 bet id=a result=win
1:00 bet id=b result=win
erase 1:30 ann => ERASED {"held":1}
row ann 24
2:00 bet id=c result=win => SUPPRESSED {"since_ms":1767225690000}
row ann 24
again => SUPPRESSED
2:30 identify anon=phone user=ann => SUPPRESSED
row ~phone 0
erase 3:00 ann => ERASED
row ann 24
passes 30000:00
row ann 24
30000:00 bet id=d result=win => SUPPRESSED
lift 30001:00 ann => LIFTED
row ann 0
lift 30001:00 ann => LIFTED {"reason":"nothing was suppressed"}
row ann 0
# She is somebody new: nothing of before counts, and nothing is a duplicate.
30002:00 bet id=b result=win
30003:00 bet id=c result=win
30004:00 bet id=e result=win => SENT (b c e)
