package trigger

import "time"

// Mode says how often a campaign may reach the same user.
type Mode string

// The modes of Reentry.
const (
	Once     Mode = "once"
	Always   Mode = "always"
	Cooldown Mode = "cooldown"
)

// Reentry is the gate that keeps a campaign from reaching the same user too often.
type Reentry struct {
	// Mode; empty means Always.
	Mode Mode
	// Every is the least time between the last events of two matches that pass; Cooldown only.
	Every time.Duration
}

// Spent is what a user used up of a campaign's re-entry. Only a match that passed every gate counts.
type Spent struct {
	Fired uint32
	// LastMS is the time of the newest match that counted, on the campaign's clock.
	LastMS int64
}

// Allows says whether a match whose last event is at ms passes.
func (r Reentry) Allows(s Spent, ms int64) bool {
	switch {
	case s.Fired == 0:
		return true
	case r.Mode == Once:
		return false
	case r.Mode == Cooldown:
		return ms >= r.UntilMS(s)
	}
	return true
}

// UntilMS is when a cooldown ends; 0 when nothing was spent or the mode is another.
func (r Reentry) UntilMS(s Spent) int64 {
	if r.Mode != Cooldown || s.Fired == 0 {
		return 0
	}
	return s.LastMS + r.Every.Milliseconds()
}

// Contender is a match that competes for a slot.
type Contender struct {
	// Slot; empty: the match competes with nobody.
	Slot string
	// Shadow says that the match will not be sent; it may lose a slot but never takes one from a
	// match that will.
	Shadow bool
}

// Winner is who has the slot of contender i: the first of its slot in order, i itself without
// rivals. The contenders are matches of one event, the highest priority first.
func Winner(contenders []Contender, i int) int {
	me := contenders[i]
	if me.Slot == "" {
		return i
	}
	for j, c := range contenders[:i] {
		if c.Slot == me.Slot && (me.Shadow || !c.Shadow) {
			return j
		}
	}
	return i
}
