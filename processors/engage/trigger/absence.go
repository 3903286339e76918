package trigger

// await takes an event to an Absence. A reset is one more thing that cancels it.
func (m *Machine) await(s State, e Event) (State, Outcome) {
	steps := e.Steps
	if e.Resets {
		steps |= Cancels
	}
	if steps != 0 && e.TimeMS >= s.FloorMS {
		m.insert(&s, e, steps, float64(m.due(e)))
	}
	return m.Wake(s, e.NowMS)
}

// due is the record time from which the absence after an event may be decided: after its deadline
// and what may be late. Where that was before the event came, as in an old log that is read again,
// what is to follow has as long to come as if the event were of now.
func (m *Machine) due(e Event) int64 {
	wait := m.wait()
	if due := e.TimeMS + wait; due > e.NowMS {
		return due
	}
	return e.NowMS + wait
}

// Wake fires the absences that are decided at a record time: whose time to be due has come, or for
// which all that could still cancel them would be late. Of other kinds nothing is ever due.
func (m *Machine) Wake(s State, nowMS int64) (State, Outcome) {
	var out Outcome
	if m.Kind != Absence {
		s.DueMS = 0
		return s, out
	}
	armed, decided := m.armed(&s), 0
	for i, at := range armed {
		if m.deadline(&s, at)+m.AllowedLateness.Milliseconds() < s.HighestMS || int64(s.Numbers[at]) <= nowMS {
			decided = i + 1 // and with it all before it
		}
	}
	for _, at := range armed[:decided] {
		out.Matches = append(out.Matches, &Match{EventIDs: []string{s.IDs[at]}, FirstMS: s.TimesMS[at], LastMS: m.deadline(&s, at)})
	}
	if decided > 0 { // everything up to the deadline is consumed
		s.FloorMS = max(s.FloorMS, out.Matches[decided-1].LastMS)
		s.consume(s.after(out.Matches[decided-1].LastMS))
	}
	m.settle(&s)
	s.DueMS = 0
	for _, at := range m.armed(&s) {
		if due := int64(s.Numbers[at]); s.DueMS == 0 || due < s.DueMS {
			s.DueMS = due
		}
	}
	return s, out
}

func (m *Machine) deadline(s *State, at int) int64 { return s.TimesMS[at] + m.Within.Milliseconds() }

// armed are the entries that armed an absence which nothing cancelled, in order; only the last may
// still be before its deadline.
func (m *Machine) armed(s *State) []int {
	var all []int
	current := -1
	for i, ms := range s.TimesMS {
		if current >= 0 && ms > m.deadline(s, current) {
			all = append(all, current)
			current = -1
		}
		if s.takes(i, Cancels) {
			current = -1
		}
		if s.takes(i, Arms) && (current < 0 || m.Restart) {
			current = i
		}
	}
	if current >= 0 {
		all = append(all, current)
	}
	return all
}

// settle keeps, of the events before which nothing may come any more, only the one that armed last.
// An absence that they left uncancelled is decided.
func (m *Machine) settle(s *State) {
	settled := s.HighestMS - m.AllowedLateness.Milliseconds()
	before := 0
	for before < len(s.TimesMS) && s.TimesMS[before] < settled {
		before++
	}
	prefix := State{TimesMS: s.TimesMS[:before], Steps: s.Steps[:before]}
	keep := before
	if armed := m.armed(&prefix); len(armed) > 0 {
		keep = armed[len(armed)-1]
		s.remove(keep+1, before)
	}
	s.consume(keep)
	s.consume(max(0, len(s.IDs)-MaxEntries))
}
