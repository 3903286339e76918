campaign deposits.yaml name: deposits -> name: distinct; sum: event.amount -> count_distinct: event.game; > 500 -> >= 3
campaign deposits.yaml name: deposits -> name: lowest; sum: event.amount -> min: event.amount; > 500 -> < 5; priority: 20 -> priority: 19
campaign deposits.yaml name: deposits -> name: highest; sum: event.amount -> max: event.amount; > 500 -> > 100; priority: 20 -> priority: 18
campaign deposits.yaml name: deposits -> name: mean; sum: event.amount -> avg: event.amount; > 500 -> <= 10; priority: 20 -> priority: 17
0:00 deposit game=x amount=50 id=a
1:00 deposit game=x amount=100 id=b
2:00 deposit game=1 amount=101 id=c => SENT highest (a b c) {"number":101}
3:00 deposit game=1.0 amount=4 id=d => SENT lowest (a b c d) {"number":4}
4:00 deposit game=y amount=200 id=e => SENT distinct (a b c d e) {"number":3}
5:00 deposit game=z amount=-900 id=f => SENT mean {"number":-74.16666666666667}
