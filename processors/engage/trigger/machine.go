package trigger

import "slices"

// Limits of a Machine.
const (
	// MaxTimes is the most events that a Count may ask for.
	MaxTimes = 500
	// MaxSteps is the most steps of a Sequence, and the most conditions of AllOf.
	MaxSteps = 16
)

// Kind is what a pattern asks for.
type Kind string

// The kinds.
const (
	// Count asks for Times equal events.
	Count Kind = "count"
	// Sequence asks for Times steps, one event for each, in order.
	Sequence Kind = "sequence"
	// AllOf asks that each of Times conditions is met, in any order; one event may meet several.
	AllOf Kind = "all_of"
	// Aggregate asks that a number over the events of the window rises to what Crossing says.
	Aggregate Kind = "aggregate"
	// Absence asks that nothing follows an event for Within.
	Absence Kind = "absence"
)

// The steps of an Absence.
const (
	// Arms is the event after which something is to follow.
	Arms uint32 = 1
	// Cancels is what is to follow.
	Cancels uint32 = 2
)

// Machine is a pattern. It keeps the events that may still be part of a match, in the order of
// (time, arrival), so that a late event is put where it belongs.
//
// Of Count, Sequence and AllOf an event fires at most one match: of those that contain it, the one
// that ends first; of these the one that starts last. For events that arrive in order this is to
// keep, for every prefix of a sequence, the latest possible start.
type Machine struct {
	Kind Kind
	// Times is how many events complete a Count, 1 to MaxTimes; how many steps a Sequence or
	// conditions an AllOf has, 1 to MaxSteps.
	Times int
	// Crossing is what an Aggregate asks.
	Crossing Crossing
	// Restart says that an event that arms an Absence which is armed starts its time again.
	Restart bool
	Frame
}

// Event is one event that a campaign reads.
type Event struct {
	ID string
	// TimeMS is the event's time on the campaign's clock, NowMS the record's; not negative.
	TimeMS, NowMS int64
	// Steps are the steps that the event may take, a bit for each from the lowest; of Count and
	// Aggregate only the lowest. 0: none; such an event still breaks a strict pattern.
	Steps uint32
	// Number is what an Aggregate takes of the event.
	Number float64
	// Resets says that the event breaks the pattern. One that does both breaks it first.
	Resets bool
}

// Match is a completed pattern.
type Match struct {
	// EventIDs are the match's events by (time, arrival). Of an Absence: the event that armed it.
	EventIDs []string
	// FirstMS and LastMS are the times of the first and the last of them. An Absence ends at its
	// deadline.
	FirstMS, LastMS int64
	// Reusable says that the match's last event was not consumed and may end another match.
	Reusable bool
	// Number is what an Aggregate came to.
	Number float64
}

// Outcome is what came of one event.
type Outcome struct {
	// Late says that the event was older than allowed and left the state as it was. An event that
	// would only have broken a strict pattern is passed over without it.
	Late bool
	// Matches are what the event completed, in order; more than one only of an Absence.
	Matches []*Match
}

// Step takes one event and returns the next state. The state given is used up: the next one may
// lie in the same memory.
func (m *Machine) Step(s State, e Event) (State, Outcome) {
	if e.TimeMS < s.HighestMS-m.AllowedLateness.Milliseconds() {
		return s, Outcome{Late: e.Steps != 0 || e.Resets}
	}
	s.HighestMS = max(s.HighestMS, e.TimeMS)
	if m.Kind == Absence {
		return m.await(s, e)
	}
	if e.Resets {
		s.consume(s.after(e.TimeMS))
		s.FloorMS = max(s.FloorMS, e.TimeMS)
	}
	var out Outcome
	if (e.Steps != 0 || m.Strict) && e.TimeMS >= s.FloorMS {
		at := m.insert(&s, e, e.Steps, e.Number)
		if match := m.match(&s, at); match != nil {
			out.Matches = []*Match{match}
		}
	}
	m.prune(&s)
	return s, out
}

// match is what the entry at completes; nil: nothing.
func (m *Machine) match(s *State, at int) *Match {
	switch m.Kind {
	case Aggregate:
		return m.cross(s, at)
	case AllOf:
		return m.consumed(s, m.all(s, at))
	default:
		return m.consumed(s, m.chain(s, at))
	}
}

// consumed makes a match of entries, in order, and consumes what it uses up.
func (m *Machine) consumed(s *State, entries []int) *Match {
	if len(entries) == 0 {
		return nil
	}
	first, last := entries[0], entries[len(entries)-1]
	match := &Match{EventIDs: make([]string, 0, len(entries)), FirstMS: s.TimesMS[first], LastMS: s.TimesMS[last]}
	for _, i := range entries {
		match.EventIDs = append(match.EventIDs, s.IDs[i])
	}
	switch {
	case m.AfterMatch != SkipToNext:
		s.FloorMS = max(s.FloorMS, match.LastMS)
		s.consume(last + 1)
		return match
	case m.keepsPlaces():
		s.IDs[first], s.Steps[first] = "", 0
	default:
		s.remove(first, first+1)
	}
	s.FloorMS = max(s.FloorMS, match.FirstMS)
	match.Reusable = len(entries) > 1
	return match
}

// chain finds a match of Count or Sequence that contains the entry x.
func (m *Machine) chain(s *State, x int) []int {
	var best []int
	for k := m.Times - 1; k >= 0; k-- {
		if k > x || m.Times-k > len(s.IDs)-x || !s.takes(x, m.step(k)) {
			continue
		}
		found := m.through(s, x, k)
		if found == nil || !m.holds(s, found[0], found[len(found)-1]) {
			continue
		}
		if m.Kind == Count || m.Strict { // every other would end later
			return found
		}
		if best == nil || sooner(found, best) {
			best = found
		}
	}
	return best
}

// step is the bit of the step k, from 0.
func (m *Machine) step(k int) uint32 {
	if m.Kind == Count {
		return 1
	}
	return 1 << k
}

// through finds the match in which the entry x takes the step k that ends first and, of these, has
// every other step as late as it can be. No other with x at k has a smaller span.
func (m *Machine) through(s *State, x, k int) []int {
	found := make([]int, m.Times)
	if m.Strict {
		for i := range found {
			if found[i] = x - k + i; !s.takes(found[i], m.step(i)) {
				return nil
			}
		}
		return found
	}
	last := x
	for i := k + 1; i < m.Times; i++ {
		for last++; last < len(s.IDs) && !s.takes(last, m.step(i)); {
			last++
		}
		if last >= len(s.IDs) {
			return nil
		}
	}
	// Back from the end, the last step first: no entry may take two steps.
	at := last
	for i := m.Times - 1; i >= 0; i-- {
		switch i {
		case m.Times - 1:
		case k:
			at = x
		default:
			for at--; at >= 0 && !s.takes(at, m.step(i)); {
				at--
			}
		}
		if at < 0 {
			return nil
		}
		found[i] = at
	}
	return found
}

// sooner says whether match a goes before b: it ends first, or starts last, or else has its later
// steps later.
func sooner(a, b []int) bool {
	n := len(a)
	if a[n-1] != b[n-1] {
		return a[n-1] < b[n-1]
	}
	if a[0] != b[0] {
		return a[0] > b[0]
	}
	for i := n - 2; i > 0; i-- {
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return false
}

// all finds a match of AllOf that contains the entry x, in order, without doubles.
func (m *Machine) all(s *State, x int) []int {
	if s.Steps[x] == 0 {
		return nil
	}
	var best, met []int
	for last := x; last < len(s.IDs) && best == nil && s.TimesMS[last]-s.TimesMS[x] <= m.Within.Milliseconds(); last++ {
		if met = m.latest(s, last, met[:0]); met == nil || s.Steps[last] == 0 {
			continue
		}
		for k := range m.Times {
			if !s.takes(x, m.step(k)) {
				continue
			}
			found := slices.Clone(met)
			found[k] = x
			if slices.Contains(found, last) && m.holds(s, slices.Min(found), last) && (best == nil || later(found, best)) {
				best = found
			}
		}
	}
	slices.Sort(best)
	return slices.Compact(best)
}

// latest appends, for each condition, the latest entry up to last that meets it; nil when one is
// not met.
func (m *Machine) latest(s *State, last int, met []int) []int {
	for k := range m.Times {
		at := last
		for at >= 0 && !s.takes(at, m.step(k)) {
			at--
		}
		if at < 0 {
			return nil
		}
		met = append(met, at)
	}
	return met
}

// later says whether a, for conditions in order, starts after b, or else has the earlier conditions
// met later.
func later(a, b []int) bool {
	if x, y := slices.Min(a), slices.Min(b); x != y {
		return x > y
	}
	return slices.Compare(a, b) > 0
}
