package trigger

import "slices"

// Limits of Count.
const (
	// MaxTimes is the most events that a Count may ask for.
	MaxTimes = 500
	// MaxEntries is how many unconsumed events are kept of one user and campaign. When more lie
	// within reach of a match, the oldest are let go.
	MaxEntries = 1024
)

// Count matches when Times events lie within the frame: Times events next to each other, by
// (time, arrival), none of them consumed, of which the last is at most Within after the first.
//
// An event fires at most one match: of those that contain it, the one that ends first. For events
// that arrive in order this is to keep, for every prefix, the latest possible start.
type Count struct {
	// Times is how many events complete the pattern, 1 to MaxTimes.
	Times int
	Frame
}

// State is how far a user came with a pattern. The zero value has seen nothing.
type State struct {
	// IDs and TimesMS are the unconsumed events by (time, arrival); always of one length.
	IDs     []string
	TimesMS []int64
	// HighestMS is the highest time of an event that was taken.
	HighestMS int64
	// FloorMS is the time of the newest reset or consumed event: an event before it no longer
	// counts, one at it that arrives later does.
	FloorMS int64
}

// Step takes one event and returns the next state. The state given is used up: the next one may
// lie in the same memory.
func (c Count) Step(s State, e Event) (State, Outcome) {
	if e.TimeMS < s.HighestMS-c.AllowedLateness.Milliseconds() {
		return s, Outcome{Late: true}
	}
	s.HighestMS = max(s.HighestMS, e.TimeMS)
	if e.Resets {
		s.consume(s.after(e.TimeMS))
		s.FloorMS = max(s.FloorMS, e.TimeMS)
	}
	var out Outcome
	if e.Counts && e.TimeMS >= s.FloorMS {
		at := s.after(e.TimeMS)
		s.IDs = slices.Insert(s.IDs, at, e.ID)
		s.TimesMS = slices.Insert(s.TimesMS, at, e.TimeMS)
		out.Match = c.match(&s, at)
	}
	c.prune(&s)
	return s, out
}

// match fires the earliest ending match that contains the entry at, if there is one.
func (c Count) match(s *State, at int) *Match {
	within := c.Within.Milliseconds()
	for last := max(at, c.Times-1); last < min(at+c.Times, len(s.IDs)); last++ {
		first := last - c.Times + 1
		if s.TimesMS[last]-s.TimesMS[first] > within {
			continue
		}
		m := &Match{EventIDs: slices.Clone(s.IDs[first : last+1]), FirstMS: s.TimesMS[first], LastMS: s.TimesMS[last]}
		if c.AfterMatch == SkipToNext {
			s.FloorMS = max(s.FloorMS, m.FirstMS)
			s.remove(first, first+1)
			m.Reusable = c.Times > 1
		} else {
			s.FloorMS = max(s.FloorMS, m.LastMS)
			s.consume(last + 1)
		}
		return m
	}
	return nil
}

// prune lets go of what no event that may still come can match with: a new event is at most
// AllowedLateness behind the highest, and its match reaches back at most Within from there.
func (c Count) prune(s *State) {
	reach := s.HighestMS - c.AllowedLateness.Milliseconds() - c.Within.Milliseconds()
	n := 0
	for n < len(s.TimesMS) && (s.TimesMS[n] < reach || len(s.TimesMS)-n > MaxEntries) {
		n++
	}
	s.consume(n)
}

// DropOldest lets go of the n oldest events.
func (s *State) DropOldest(n int) { s.consume(min(n, len(s.IDs))) }

// consume removes the first n entries.
func (s *State) consume(n int) { s.remove(0, n) }

func (s *State) remove(from, to int) {
	s.IDs = slices.Delete(s.IDs, from, to)
	s.TimesMS = slices.Delete(s.TimesMS, from, to)
}

// after is the number of entries at or before a time; nearly always all of them.
func (s *State) after(ms int64) int {
	n := len(s.TimesMS)
	for n > 0 && s.TimesMS[n-1] > ms {
		n--
	}
	return n
}
