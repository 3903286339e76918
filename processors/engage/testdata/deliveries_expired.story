# An engager that starts again may find an action too late that was pushed before: that is no news.
campaign hot.yaml times: 3 -> times: 1
0:00 bet result=win id=a => SENT hot
deliver 0:01 hot pushed => PUSHED hot
deliver 0:02 hot expired
again
deliver 0:03 hot seen => SEEN hot
deliver 0:04 hot expired
# Seen, though the engager never said that it pushed it; the same with what only one who saw it can do.
0:05 bet result=win id=b => SENT hot
deliver 0:06 hot seen => SEEN hot
deliver 0:07 hot expired
0:08 bet result=win id=c => SENT hot
deliver 0:09 hot clicked => CLICKED hot
deliver 0:10 hot expired
0:11 bet result=win id=d => SENT hot
deliver 0:12 hot dismissed => DISMISSED hot
deliver 0:13 hot expired
# Nobody took it: it expired, once. What comes after that is told as it is.
0:14 bet result=win id=e => SENT hot
deliver 0:15 hot expired => EXPIRED hot
again
deliver 0:16 hot pushed => PUSHED hot
deliver 0:17 hot expired
# A failure is none of these.
0:18 bet result=win id=f => SENT hot
deliver 0:19 hot failed => FAILED hot
deliver 0:20 hot expired => EXPIRED hot
