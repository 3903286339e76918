package exposure

// flags is a set of things that happened to a fill. The row stores the bits: never renumber them.
type flags uint32

// What a fill may be flagged with, in the order in which a ledger entry names them.
const (
	// flagGap: a frame was lost for ever; the interval over the hole is tail.
	flagGap flags = 1 << iota
	// flagSleep: two frames in a row lie further apart than Policy.GapMS; the interval is tail.
	flagSleep
	// flagOverlap: another page view of the user had earned a part of the time.
	flagOverlap
	// flagNoEnd: the page view closed without an end while the fill was in view; one heartbeat is tail.
	flagNoEnd
	// flagEarly: a frame claims to be older than the page view.
	flagEarly
	// flagFast: a frame claims to come from the future.
	flagFast
	// flagBack: the client's monotonic clock went back.
	flagBack
	// flagUntimed: before the page view held a server time nothing is proven; the interval is tail.
	flagUntimed
	// flagEvicted: the user had too many page views open, or the row grew too big.
	flagEvicted
	// flagReopened: the fill had closed and came back; its totals go on.
	flagReopened
)

var flagNames = [...]string{"GAP", "SLEEP", "OVERLAP", "NOEND", "EARLY", "FAST", "BACK", "UNTIMED", "EVICTED", "REOPENED"}

// names lists the flags in the order of their bits; nil for none.
func (f flags) names() []string {
	var out []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}
