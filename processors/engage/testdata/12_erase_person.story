# Erase takes what waits, and all ids of the person; what others do goes on.
campaign welcome.yaml
campaign hot.yaml
0:00 bet id=a result=win anon=phone
0:10 bet id=b result=win anon=laptop
0:20 identify id=i1 anon=phone user=ann
0:30 identify id=i2 anon=laptop user=ann
0:40 bet id=c result=win anon=tv
0:50 signup id=s => DELAY welcome
erase 1:00 ann => ERASED {"pending":1;"claimed":["~phone";"~laptop"]}
row ann 24
row ~phone 0
row ~laptop 0
passes 60:00
# The devices are nobody's now, and begin afresh.
60:00 bet id=d result=win anon=phone
60:01 bet id=e result=win anon=phone
60:02 identify id=i3 anon=phone user=ann => SUPPRESSED
60:03 bet id=f result=win anon=phone => SENT (d e f)
# An id that somebody else claimed meanwhile stays that user's.
61:00 identify id=i4 anon=tv user=bob
61:10 identify id=i5 anon=tv user=eve
erase 61:20 bob => ERASED
61:30 bet id=g result=win anon=tv
61:31 bet id=h result=win anon=tv
61:32 bet id=i result=win user=eve => SENT (g h i)
