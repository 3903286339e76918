package main

// expectIdle goes through every user's pulses in the log's order and says what the row must be. A
// deadline that passed before the next pulse's time must have acted, exactly once. One that did not
// must not have, except where the pulse was acknowledged only after the deadline: then nobody could
// have known, the action is allowed, and the row's time went on with it.
func (t *torture) expectIdle(v *verdict, say *few, pulses map[string][]sighting, acted map[string]map[int64]int) map[string]found {
	rows, acks := map[string]found{}, t.in.pulses.known()
	for user, seen := range pulses {
		u := &idleUser{user: user, acted: acted[user]}
		for i, p := range seen {
			if i > 0 {
				u.between(v, say, p, acks[p.id-1])
			}
			u.row.N, u.row.Sum, u.row.Last = u.row.N+1, u.row.Sum+p.id, p.id
			u.timeMS = max(u.timeMS, p.ms)
		}
		u.fired(v, say)
		rows[user] = u.row
		for deadline, n := range u.acted {
			v.doubled += n
			say.of("idle action of %s at %d: %d times, must not be", user, deadline, n)
		}
	}
	for user := range acted {
		if pulses[user] == nil {
			v.doubled++
			say.of("idle action of %s, who sent nothing", user)
		}
	}
	return rows
}

// idleUser is one user on the way through the log; acted is what is not accounted for yet.
type idleUser struct {
	user   string
	row    found
	timeMS int64
	acted  map[int64]int
}

func (u *idleUser) deadline() int64 { return u.timeMS + idleAfter.Milliseconds() }

// between looks at the deadline before the next pulse.
func (u *idleUser) between(v *verdict, say *few, next sighting, ackMS int64) {
	switch d := u.deadline(); {
	case next.ms >= d:
		u.fired(v, say)
	case u.acted[d] > 0 && ackMS >= d:
		v.late++
		u.fired(v, say)
	}
}

// fired: the deadline must have acted once.
func (u *idleUser) fired(v *verdict, say *few) {
	d := u.deadline()
	n := u.acted[d]
	if v.once(n); n != 1 {
		say.of("idle action of %s at %d: %d times", u.user, d, n)
	}
	delete(u.acted, d)
	u.row.Woke++
	u.timeMS = d
}
