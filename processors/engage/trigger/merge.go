package trigger

import (
	"cmp"
	"slices"
)

// Merge unites the progress of two ids that turn out to be one user, as if the events of both had come
// to one state from the start: what both still keep is stepped once more, in the order of time. past are
// events of other that are known whole, by time; they go before what other made of them. What other, or
// s, used up for a match stays used up, and a crossing that either fired is not fired again. nowMS is
// the record time of the merge. Both states are used up.
//
// It is the same as from the start, match for match, where neither state has matched before or run over
// MaxEntries and, if both had events, neither was reset and neither let go of an event that the other
// would still have needed: one further behind its own newest event than a match may reach.
func (m *Machine) Merge(s, other State, past []Event, nowMS int64) (State, Outcome) {
	all := m.merging(s, other, past)
	next := State{FloorMS: max(s.FloorMS, other.FloorMS)}
	var out Outcome
	switch m.Kind {
	case Absence:
		m.mergeAbsences(&next, all)
	case Aggregate:
		out.Matches = m.mergeCrossings(&next, all)
	default:
		for _, e := range all {
			var o Outcome
			next, o = m.Step(next, e.Event)
			out.Matches = append(out.Matches, o.Matches...)
		}
	}
	next.HighestMS = max(next.HighestMS, s.HighestMS, other.HighestMS)
	if m.Kind == Absence {
		next, out = m.Wake(next, nowMS)
		return next, out
	}
	m.prune(&next)
	return next, out
}

// merged is an event on its way into a merged state.
type merged struct {
	Event
	// fired says that its crossing was fired; of says whose it is: 0 of s, 1 of other, 2 of other, which
	// made nothing of it.
	fired bool
	of    int
}

// merging is what two states keep, and the past of other, by (time, arrival).
func (m *Machine) merging(s, other State, past []Event) []merged {
	all := s.events(m.wait(), 0)
	reach := other.HighestMS - m.AllowedLateness.Milliseconds() - m.Within.Milliseconds()
	known := map[string]bool{}
	for _, e := range past {
		known[e.ID] = true
		at := slices.Index(other.IDs, e.ID)
		if at < 0 && e.TimeMS <= other.FloorMS { // used up, or before what was
			if e.Steps = 0; !e.Resets {
				continue
			}
		}
		of := 1
		if at < 0 {
			if of = 2; m.Kind == Aggregate && e.TimeMS < reach { // what was fired there is forgotten
				e.Steps = 0
			}
		}
		all = append(all, merged{e, at >= 0 && other.Steps != nil && other.Steps[at]&fired != 0, of})
	}
	for _, e := range other.events(m.wait(), 1) {
		if e.ID == "" || !known[e.ID] && !slices.Contains(s.IDs, e.ID) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b merged) int { return cmp.Compare(a.TimeMS, b.TimeMS) })
	return all
}

// events are the entries of a state as they came.
func (s *State) events(waitMS int64, of int) []merged {
	all := make([]merged, 0, len(s.IDs))
	for i, id := range s.IDs {
		e := merged{Event: Event{ID: id, TimeMS: s.TimesMS[i], NowMS: s.TimesMS[i], Steps: s.steps(i) &^ fired}, fired: s.Steps != nil && s.Steps[i]&fired != 0, of: of}
		if s.Numbers != nil {
			e.Number, e.NowMS = s.Numbers[i], int64(s.Numbers[i])-waitMS // of an absence; others do not ask
		}
		all = append(all, e)
	}
	return all
}

// wait is how long after an event its absence is decided.
func (m *Machine) wait() int64 { return m.Within.Milliseconds() + m.AllowedLateness.Milliseconds() + 1 }

// mergeAbsences puts events into an Absence; Wake decides then.
func (m *Machine) mergeAbsences(s *State, all []merged) {
	for _, e := range all {
		if e.Resets {
			e.Steps |= Cancels
		}
		if e.Steps != 0 && e.TimeMS >= s.FloorMS {
			m.insert(s, e.Event, e.Steps, float64(m.due(e.Event)))
		}
		s.HighestMS = max(s.HighestMS, e.TimeMS)
	}
}

// mergeCrossings puts events into an Aggregate, all up to a reset before any is looked at, so that a
// crossing which was fired is known. Only what lies near an event of the other one is looked at: each by
// itself has found its own, and may have forgotten it.
func (m *Machine) mergeCrossings(s *State, all []merged) (found []*Match) {
	begin := 0
	look := func(upTo int) {
		for i, e := range all[begin:upTo] {
			x := slices.Index(s.IDs, e.ID)
			if x < 0 || e.of != 2 && !m.meets(all[begin:upTo], i) {
				continue
			}
			if match := m.cross(s, x); match != nil {
				found = append(found, match)
			}
		}
		begin = upTo
	}
	for i, e := range all {
		if e.Resets {
			look(i)
			s.consume(s.after(e.TimeMS))
			s.FloorMS = max(s.FloorMS, e.TimeMS)
		}
		if e.Steps != 0 && e.TimeMS >= s.FloorMS {
			if at := m.insert(s, e.Event, e.Steps, e.Number); e.fired {
				s.Steps[at] |= fired
			}
		}
		s.HighestMS = max(s.HighestMS, e.TimeMS)
	}
	look(len(all))
	return found
}

// meets says whether an event of the other id lies within a window of event i.
func (m *Machine) meets(all []merged, i int) bool {
	within := m.Within.Milliseconds()
	return slices.ContainsFunc(all, func(e merged) bool {
		return (e.of == 0) != (all[i].of == 0) && e.TimeMS-all[i].TimeMS <= within && all[i].TimeMS-e.TimeMS <= within
	})
}
