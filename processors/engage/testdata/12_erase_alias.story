# An erase of a retired id takes the person it became, and the id.
campaign hot.yaml
0:00 bet id=a result=win user=old
0:10 alias id=x prev=old user=new
0:20 bet id=b result=win user=old
erase 0:30 old => ERASED {"owner":"new"},ERASED {"claimed":["~old";"old"]}
row old 24
row new 24
0:40 bet id=c result=win user=old => SUPPRESSED
0:41 bet id=d result=win user=new => SUPPRESSED
# Each id is lifted by its name.
lift 0:50 new => LIFTED
0:51 bet id=e result=win user=old => SUPPRESSED
0:52 bet id=f result=win user=new
