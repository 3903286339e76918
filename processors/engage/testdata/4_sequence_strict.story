# Strict: nothing may lie between, whatever it is called. Relaxed does not mind.
campaign strict.yaml
campaign journey.yaml
0:00 view id=v
1:00 add id=a
2:00 checkout id=c => SENT journey (v a c), SENT strict (v a c)
3:00 view id=v2
4:00 add id=a2
5:00 scroll id=s
6:00 checkout id=c2 => SENT journey (v2 a2 c2)
# identify is no event of a campaign, and breaks none.
7:00 view id=v3
7:10 identify id=i
7:20 add id=a3
7:30 checkout id=c3 => SENT journey (v3 a3 c3), SENT strict (v3 a3 c3)
# What comes late breaks too, as long as nothing was sent; too late it is nothing, without a word.
8:00 view id=v4
8:20 add id=a4
arrives 8:30 at 8:10 scroll id=s4
8:40 checkout id=c4 => SENT journey
arrives 8:41 at 5:00 scroll id=s5
arrives 8:42 at 5:00 logout id=l => LATE strict
# Another user's events lie nowhere.
9:00 view id=v6
9:01 scroll id=s6 user=bob
9:02 add id=a6
9:03 checkout id=c6 => SENT journey (v6 a6 c6), SENT strict (v6 a6 c6)
