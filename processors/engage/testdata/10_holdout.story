# Case 10: u0 falls into bucket 525 of 10000, u42 into 5936.
campaign gated.yaml experiment: {} -> experiment: {holdout: 10%, salt: hot-streak/holdout/1}
0:00 bet id=a user=u0 => CONTROL hot (a) {"bucket":525; "holdout":1000; "salt":"hot-streak/holdout/1"}
0:00 bet id=a user=u42 => SENT hot (a)
# A larger holdout takes in more, a change of the variants' weights moves nobody.
campaign gated.yaml experiment: {} -> experiment: {holdout: 59.36%, salt: hot-streak/holdout/1, variants: [{name: x, weight: 1}, {name: y, weight: 9}]}
0:01 bet id=b user=u0 => CONTROL hot
0:01 bet id=b user=u42 => SENT hot
campaign gated.yaml experiment: {} -> experiment: {holdout: 59.37%, salt: hot-streak/holdout/1, variants: [{name: x, weight: 9}, {name: y, weight: 0}]}
0:02 bet id=c user=u0 => CONTROL hot
0:02 bet id=c user=u42 => CONTROL hot {"bucket":5936; "holdout":5937}
campaign gated.yaml experiment: {} -> experiment: {holdout: 5.25%, salt: hot-streak/holdout/1}
0:03 bet id=d user=u0 => SENT hot
