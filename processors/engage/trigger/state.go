package trigger

import "slices"

// MaxEntries is how many unconsumed events are kept of one user and pattern. When more lie within
// reach of a match, the oldest are let go.
const MaxEntries = 1024

// fired marks the entry whose aggregate match was fired.
const fired uint32 = 1 << MaxSteps

// State is how far a user came with a pattern. The zero value has seen nothing.
type State struct {
	// IDs and TimesMS are the unconsumed events by (time, arrival); always of one length. An event
	// that only lies between the others has no id.
	IDs     []string
	TimesMS []int64
	// Steps says which steps each may take, a bit for each from the lowest; nil where every one
	// takes the first. Numbers is what an aggregate takes of each, or the record time from which an
	// absence after it may be decided; nil where neither is asked. Else both are as long as IDs.
	Steps   []uint32
	Numbers []float64
	// HighestMS is the highest time of an event that was taken.
	HighestMS int64
	// FloorMS is the time of the newest reset or consumed event: an event before it no longer
	// counts, one at it that arrives later does.
	FloorMS int64
	// DueMS is the record time at which Wake has something to decide; 0: it has not.
	DueMS int64
}

// DropOldest lets go of the n oldest events.
func (s *State) DropOldest(n int) { s.consume(min(n, len(s.IDs))) }

// Fits says whether the state may be one of this machine: whether it has what the machine keeps.
func (m *Machine) Fits(s State) bool {
	n := len(s.IDs)
	return len(s.TimesMS) == n && (!m.keepsSteps() || len(s.Steps) == n) && (!m.keepsNumbers() || len(s.Numbers) == n)
}

// Rest lets go of what an event that may still come, or a wake, cannot make anything of, and says
// whether that is all. The state given is used up.
func (m *Machine) Rest(s State) (rest State, spent bool) {
	if m.Kind == Absence {
		m.settle(&s)
	} else {
		m.prune(&s)
	}
	return s, len(s.IDs) == 0 && s.FloorMS <= s.HighestMS-m.AllowedLateness.Milliseconds()
}

// keepsSteps says whether an entry may be anything else than the first step.
func (m *Machine) keepsSteps() bool { return m.Kind != Count || m.keepsPlaces() }

// keepsNumbers says whether entries have a number.
func (m *Machine) keepsNumbers() bool { return m.Kind == Aggregate || m.Kind == Absence }

// keepsPlaces says whether an event that no longer matches still lies between others: as a break of
// a strict pattern, or as a link of a session.
func (m *Machine) keepsPlaces() bool { return m.Strict || m.Window == Session }

// insert adds an event and returns where it is.
func (m *Machine) insert(s *State, e Event, steps uint32, number float64) int {
	at := s.after(e.TimeMS)
	id := e.ID
	if steps == 0 {
		id = ""
	}
	s.IDs = slices.Insert(s.IDs, at, id)
	s.TimesMS = slices.Insert(s.TimesMS, at, e.TimeMS)
	if m.keepsSteps() {
		s.Steps = slices.Insert(s.Steps, at, steps)
	}
	if m.keepsNumbers() {
		s.Numbers = slices.Insert(s.Numbers, at, number)
	}
	return at
}

// takes says whether an entry may take a step.
func (s *State) takes(at int, step uint32) bool { return s.steps(at)&step != 0 }

// steps are the steps that an entry may take; 0: it only lies between others.
func (s *State) steps(at int) uint32 {
	if s.Steps == nil {
		return 1
	}
	return s.Steps[at]
}

// consume removes the first n entries.
func (s *State) consume(n int) { s.remove(0, n) }

func (s *State) remove(from, to int) {
	s.IDs = slices.Delete(s.IDs, from, to)
	s.TimesMS = slices.Delete(s.TimesMS, from, to)
	if s.Steps != nil {
		s.Steps = slices.Delete(s.Steps, from, to)
	}
	if s.Numbers != nil {
		s.Numbers = slices.Delete(s.Numbers, from, to)
	}
}

// after is the number of entries at or before a time; nearly always all of them.
func (s *State) after(ms int64) int {
	n := len(s.TimesMS)
	for n > 0 && s.TimesMS[n-1] > ms {
		n--
	}
	return n
}

// prune lets go of what no event that may still come can match with: a new event is at most
// AllowedLateness behind the highest, and its match reaches back at most Within from there.
func (m *Machine) prune(s *State) {
	settled := s.HighestMS - m.AllowedLateness.Milliseconds()
	reach := settled - m.Within.Milliseconds()
	n := 0
	for n < len(s.TimesMS) && (s.TimesMS[n] < reach || len(s.TimesMS)-n > MaxEntries) {
		n++
	}
	if m.keepsPlaces() && m.Kind != Aggregate { // nothing will come before them, so they lie between nothing
		for n < len(s.TimesMS) && s.Steps[n] == 0 && s.TimesMS[n] < settled {
			n++
		}
	}
	s.consume(n)
	if m.Strict {
		s.thin(settled)
	}
}

// thin keeps one of the entries that only break, where nothing will come between two of them.
func (s *State) thin(settled int64) {
	for i := len(s.TimesMS) - 1; i > 0; i-- {
		if s.TimesMS[i] < settled && s.Steps[i] == 0 && s.Steps[i-1] == 0 {
			s.remove(i, i+1)
		}
	}
}
