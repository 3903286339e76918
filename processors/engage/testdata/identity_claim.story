# Three wins counted across an anonymous id and a user, and on a second device.
campaign hot.yaml
0:00 bet id=a result=win anon=phone
4:00 bet id=b result=win anon=phone
5:00 identify id=i anon=phone user=ann
again => DUPLICATE
9:59 bet id=c result=win user=ann => SENT (a b c)
row ~phone 24
# What comes later with the anonymous id only is ann's, with its own id and time.
20:00 bet id=d result=win anon=phone
20:10 bet id=d result=win anon=phone => DUPLICATE
20:20 bet id=e result=win anon=phone
20:30 bet id=f result=win user=ann => SENT (d e f)
# A second device; a loss on it resets.
30:00 bet id=g result=win user=ann
30:10 bet id=h result=loss anon=laptop
30:20 bet id=j result=win anon=laptop
30:30 identify id=k anon=laptop user=ann
30:40 bet id=l result=win user=ann
30:50 bet id=m result=win anon=phone => SENT (j l m)
