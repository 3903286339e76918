campaign tour.yaml all_of -> any_of; within: 15m -> until: []
0:00 save id=s => SENT tour (s)
1:00 view id=v => SENT tour (v)
2:00 other id=o
again => DUPLICATE
