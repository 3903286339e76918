# What completes a pattern in the past fires when the claim says so.
campaign hot.yaml
0:00 bet id=a result=win user=ann
1:00 bet id=b result=win anon=phone
2:00 bet id=c result=win user=ann
3:00 identify id=i anon=phone user=ann => SENT (a b c)
# What was used up by the anonymous id is used up, and its caps and re-entry are the user's.
campaign hot.yaml mode: always -> mode: once
10:00 bet id=d result=win anon=tv
10:01 bet id=e result=win anon=tv
10:02 bet id=f result=win anon=tv => SENT (d e f)
10:03 bet id=g result=win anon=tv
10:04 identify id=j anon=tv user=bob
10:05 bet id=h result=win user=bob
10:06 bet id=k result=win user=bob => REENTRY (g h k)
# Another user who claims the id later gets nothing of the past, only what comes.
11:00 bet id=l result=win anon=tv
11:01 identify id=m anon=tv user=eve
11:02 bet id=n result=win anon=tv
11:03 bet id=o result=win user=eve
11:04 bet id=p result=win user=eve => SENT (n o p)
11:05 bet id=q result=win user=bob
11:06 bet id=r result=win user=bob => REENTRY (l q r)
