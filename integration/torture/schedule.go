package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is one way to hurt.
type fault string

// The faults. Compaction is in force during the whole run, the others come as steps.
const (
	kill      fault = "kill"      // kill -9 of a worker
	stop      fault = "stop"      // SIGSTOP of a worker beyond its session: a zombie
	broker    fault = "broker"    // kill -9 of a broker
	pause     fault = "pause"     // all brokers stand still longer than the transaction timeout
	compact   fault = "compact"   // tables compacted as hard as the brokers can
	truncate  fault = "truncate"  // a killed worker's local store loses the end of a file
	fulldisk  fault = "fulldisk"  // no space under a local store
	refused   fault = "refused"   // rows that the broker does not take; rows beyond the row limit
	timers    fault = "timers"    // nothing comes in, deadlines alone are at work, and a zombie
	rebalance fault = "rebalance" // a worker leaves in order and comes back
)

var allFaults = []fault{kill, stop, broker, pause, compact, truncate, fulldisk, refused, timers, rebalance}

// possible are the faults that make sense. The embedded Kafka lives in this process, never compacts
// and refuses nothing; for the stacks that are wrong, one fault must be enough.
func possible(brokers int, stack string) []fault {
	switch {
	case stack != stackDwell:
		return []fault{kill}
	case brokers == 0:
		return []fault{kill, stop, truncate, fulldisk, timers, rebalance}
	}
	return allFaults
}

func names(fs []fault) string {
	s := make([]string, len(fs))
	for i, f := range fs {
		s[i] = string(f)
	}
	return strings.Join(s, ",")
}

// share is how many steps of a fault come with so many kills, one at least. The slow ones come less
// often than they could: what finds faults is many kills, each at another moment.
func share(f fault, kills int) int {
	percent := map[fault]int{stop: 8, broker: 5, pause: 2, truncate: 10, fulldisk: 2, refused: 2, timers: 2, rebalance: 8}[f]
	if percent == 0 || kills == 0 {
		return 0
	}
	return max(1, (percent*kills+50)/100)
}

// step is a fault with everything that was drawn for it.
type step struct {
	fault fault
	// which worker, or broker; the number of such decides the remainder.
	which int
	// progress says that every partition must have got ahead before; after is how long things are
	// left alone then, so that no moment of a transaction is spared.
	progress bool
	after    time.Duration
	// hold is how long it hurts: until the restart, until SIGCONT.
	hold time.Duration
	// draw serves what else there is to choose.
	draw uint64
}

// String is how the schedule is printed.
func (s step) String() string {
	busy := ""
	if s.progress {
		busy = " when all got ahead, and"
	}
	return fmt.Sprintf("%s %d%s after %v, for %v", s.fault, s.which, busy, s.after, s.hold)
}

// schedule draws the steps from the seed. Kills of brokers and those before a truncation count.
func schedule(o options) []step {
	rng := rand.New(rand.NewPCG(o.seed, 0))
	var kinds []fault
	left := o.kills
	for _, f := range o.faults {
		n := share(f, o.kills)
		if f == broker || f == truncate {
			n = min(n, left)
			left -= n
		}
		kinds = append(kinds, slices.Repeat([]fault{f}, n)...)
	}
	for _, f := range []fault{kill, truncate, broker} { // the first that was asked for
		if slices.Contains(o.faults, f) {
			kinds = append(kinds, slices.Repeat([]fault{f}, left)...)
			break
		}
	}
	rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	steps := make([]step, len(kinds))
	for i, f := range kinds {
		steps[i] = step{fault: f, which: rng.IntN(12), progress: rng.IntN(4) > 0, after: between(rng, 0, 250), hold: holds(rng, f), draw: rng.Uint64()}
		if !steps[i].progress { // somewhere between the start of a process and its first transactions
			steps[i].after = between(rng, 0, 1000)
		}
	}
	return steps
}

func between(rng *rand.Rand, fromMS, toMS int) time.Duration {
	return time.Duration(fromMS+rng.IntN(toMS-fromMS)) * time.Millisecond
}

// holds draws how long a fault hurts.
func holds(rng *rand.Rand, f fault) time.Duration {
	switch f {
	case stop, timers: // shorter and longer than the session
		return between(rng, 1000, int((sessionTimeout + 1500*time.Millisecond).Milliseconds()))
	case broker:
		return between(rng, 300, 3000)
	case pause:
		return txnTimeout + between(rng, 500, 1500)
	case kill, truncate, rebalance: // one in eight beyond the session: another one takes over
		if rng.IntN(8) == 0 {
			return sessionTimeout + between(rng, 300, 1300)
		}
		return between(rng, 0, 400)
	default:
		return between(rng, 0, 400)
	}
}
