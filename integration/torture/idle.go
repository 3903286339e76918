package main

import "slices"

// graceMS is how long a record may be under way before the wall clock alone lets a deadline act: what the
// specification promises.
const graceMS = 1000

// expectIdle goes through every user's pulses in the log's order and says what the row must be. A
// deadline that passed before the next pulse's time must have acted, exactly once. One that did not
// must not have, except where the pulse was acknowledged only after deadline and grace: then nobody
// could have known, the action is allowed, and the row's time went on with it.
func (t *torture) expectIdle(v *verdict, say *few, pulses map[string][]sighting, acted map[string]map[int64]int) map[string]found {
	rows, acks := map[string]found{}, t.in.pulses.known()
	for user, seen := range pulses {
		u := idleUser{user: user, acted: acted[user]}
		g := u.explain(seen, acks)
		rows[user] = found{N: uint64(len(seen)), Sum: sum(seen), Last: seen[len(seen)-1].id, Woke: uint64(len(g.fired))}
		u.tell(v, say, g)
	}
	for user := range acted {
		if pulses[user] == nil {
			v.doubled++
			say.of("idle action of %s, who sent nothing", user)
		}
	}
	return rows
}

func sum(seen []sighting) (n uint64) {
	for _, p := range seen {
		n += p.id
	}
	return n
}

// idleUser is one user: acted is how often each deadline did.
type idleUser struct {
	user  string
	acted map[int64]int
}

// guess is one way in which pulses and deadlines may have met. There can be several: when two late
// pulses leave the deadline where it is, it may have acted before the second or after, and the log of
// actions looks the same until the next deadline is known.
type guess struct {
	timeMS int64   // of the row
	fired  []int64 // the deadlines that acted, or should have
	faults int     // against one action per deadline, less the actions that fired explains
	late   int
}

func (g *guess) deadline() int64 { return g.timeMS + idleAfter.Milliseconds() }

// fire: the deadline acts, n times.
func (g *guess) fire(n int) {
	d := g.deadline()
	if n == 0 {
		g.faults++
	} else {
		g.faults-- // one is explained; every further one is doubled, whoever explains it
	}
	g.fired = append(g.fired, d)
	g.timeMS = d
}

// explain returns the guess with the fewest faults.
func (u idleUser) explain(seen []sighting, acks []int64) guess {
	open := []guess{{timeMS: seen[0].ms}}
	for _, p := range seen[1:] {
		open = u.before(p, acks[p.id-1], open)
		for i := range open {
			open[i].timeMS = max(open[i].timeMS, p.ms)
		}
		open = best(open)
	}
	for i := range open {
		open[i].fire(u.acted[open[i].deadline()])
	}
	return slices.MinFunc(open, func(a, b guess) int { return a.faults - b.faults })
}

// before looks at the deadlines before a pulse.
func (u idleUser) before(p sighting, ackMS int64, open []guess) []guess {
	for i := range open {
		g := &open[i]
		d := g.deadline()
		n := u.acted[d]
		switch {
		case p.ms >= d:
			g.fire(n)
		case n > 0 && ackMS >= d+graceMS:
			rash := guess{g.timeMS, slices.Clone(g.fired), g.faults, g.late + 1}
			rash.fire(n)
			open = append(open, rash) // range has seen the length before
		}
	}
	return open
}

// best keeps one guess for each time of the row: what follows is the same for all with that time.
func best(open []guess) []guess {
	slices.SortStableFunc(open, func(a, b guess) int {
		if a.timeMS != b.timeMS {
			return int(a.timeMS - b.timeMS)
		}
		return a.faults - b.faults
	})
	return slices.CompactFunc(open, func(a, b guess) bool { return a.timeMS == b.timeMS })
}

// tell adds what is wrong with the guess to the verdict.
func (u idleUser) tell(v *verdict, say *few, g guess) {
	v.late += g.late
	for _, d := range g.fired {
		n := u.acted[d]
		if v.once(n); n != 1 {
			say.of("idle action of %s at %d: %d times", u.user, d, n)
		}
		delete(u.acted, d)
	}
	for d, n := range u.acted {
		v.doubled += n
		say.of("idle action of %s at %d: %d times, must not be", u.user, d, n)
	}
}
