package sessions

import (
	"maps"

	"github.com/twmb/franz-go/pkg/kfake"
)

// The states of a group in which requests wait: joins until all have joined, syncs until the leader's.
const (
	preparing  = "PreparingRebalance"
	completing = "CompletingRebalance"
	stable     = "Stable"
)

// calm is how many looks without a request and without a rebalance end the watch of a group: more
// than one, because a request is noted just before it is handled.
const calm = 5

// wait is the newest request of a member: it waits as long as the group is in this state and generation.
type wait struct {
	state      string
	generation int32
}

// round is what is known of one group.
type round struct {
	waits   map[string]wait // by member
	started int32           // the generation whose members all have a session timer
	quiet   int             // looks since the newest request that found the group at rest
}

// due are the members that need a heartbeat now; starts says that these are all of a generation
// whose timers were not started yet.
func (r *round) due(g *kfake.GroupInfo) (members []string, starts bool) {
	starts = g.Epoch != r.started && (g.State == completing || g.State == stable)
	here := wait{g.State, g.Epoch}
	for _, m := range g.Members {
		if starts || r.waits[m.MemberID] == here {
			members = append(members, m.MemberID)
		}
	}
	maps.DeleteFunc(r.waits, func(_ string, w wait) bool { return w.generation < g.Epoch })
	switch {
	case g.State == preparing || g.State == completing:
		r.quiet = 0
	case !starts:
		r.quiet++
	}
	return members, starts
}
