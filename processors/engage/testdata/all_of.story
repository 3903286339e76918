campaign tour.yaml
0:00 save id=s
1:00 view id=v
2:00 view id=w
3:00 search id=f => SENT tour (s w f)
4:00 search id=g
5:00 save id=t
arrives 5:10 at 4:50 view id=x => SENT tour (g x t)
# One event may meet two conditions.
campaign tour.yaml name: tour -> name: two; {event: search}, {event: view} -> {event: view}, {event: view, where: 'event.big'}
20:00 view big=1 id=a
21:00 save id=b
22:00 view id=c
