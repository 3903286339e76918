package trigger

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
)

// faulty is a machine with a planted fault: another machine, or events and outcomes changed on their
// way.
type faulty struct {
	m    Machine
	step func(m Machine, s State, e Event) (State, Outcome)
	wake func(m Machine, s State, now int64) (State, Outcome)
}

func (f faulty) Step(s State, e Event) (State, Outcome) {
	if f.step != nil {
		return f.step(f.m, s, e)
	}
	return f.m.Step(s, e)
}

func (f faulty) Wake(s State, now int64) (State, Outcome) {
	if f.wake != nil {
		return f.wake(f.m, s, now)
	}
	return f.m.Wake(s, now)
}

// changed plants a fault into the machine itself.
func changed(change func(*Machine)) func(Machine) stepper {
	return func(m Machine) stepper { change(&m); return &m }
}

// stepped plants a fault into the way of an event.
func stepped(step func(m Machine, s State, e Event) (State, Outcome)) func(Machine) stepper {
	return func(m Machine) stepper { return faulty{m: m, step: step} }
}

var planted = []struct {
	name  string
	kinds []Kind
	plant func(Machine) stepper
}{
	{"exclusive window", kinds, changed(func(m *Machine) { m.Within -= time.Millisecond })},
	{"wide window", kinds, changed(func(m *Machine) { m.Within += time.Millisecond })},
	{"forgotten reset", kinds, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		e.Resets = false
		return m.Step(s, e)
	})},
	{"reset after the event", []Kind{Count, Sequence, AllOf, Aggregate}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		late := e.TimeMS < s.HighestMS-m.AllowedLateness.Milliseconds()
		resets := e.Resets
		e.Resets = late && resets
		s, out := m.Step(s, e)
		if resets && !late {
			s, _ = m.Step(s, Event{TimeMS: e.TimeMS, Resets: true})
		}
		return s, out
	})},
	{"wrong consumption", []Kind{Count, Sequence, AllOf}, changed(func(m *Machine) {
		if m.AfterMatch == SkipToNext {
			m.AfterMatch = SkipPastLast
		} else {
			m.AfterMatch = SkipToNext
		}
	})},
	{"forgotten floor", kinds, stepped(func(m Machine, s State, e Event) (State, Outcome) { s.FloorMS = 0; return m.Step(s, e) })},
	{"floor excludes its own time", kinds, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		if e.TimeMS == s.FloorMS && s.FloorMS > 0 && e.TimeMS >= s.HighestMS-m.AllowedLateness.Milliseconds() && !m.Strict {
			e.Steps = 0
		}
		return m.Step(s, e)
	})},
	{"lateness forgotten", kinds, changed(func(m *Machine) { m.AllowedLateness = time.Hour })},
	{"late by one", kinds, changed(func(m *Machine) { m.AllowedLateness = max(0, m.AllowedLateness-time.Millisecond) })},
	{"order of arrival", kinds, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		if n := len(s.TimesMS); n > 0 && e.TimeMS < s.TimesMS[n-1] && e.TimeMS >= s.HighestMS-m.AllowedLateness.Milliseconds() {
			e.TimeMS = s.TimesMS[n-1]
		}
		return m.Step(s, e)
	})},
	{"strict forgotten", []Kind{Count, Sequence}, changed(func(m *Machine) { m.Strict = false })},
	{"wide gap", []Kind{Count, Sequence, AllOf, Aggregate}, changed(func(m *Machine) { m.Gap += time.Millisecond })},
	{"narrow gap", []Kind{Count, Sequence, AllOf, Aggregate}, changed(func(m *Machine) { m.Gap -= time.Millisecond })},
	{"tumbling forgotten", []Kind{Count, Sequence, AllOf, Aggregate}, changed(func(m *Machine) {
		if m.Window == Tumbling {
			m.Window = Sliding
		}
	})},
	{"session forgotten", []Kind{Count, Sequence, AllOf, Aggregate}, changed(func(m *Machine) {
		if m.Window == Session {
			m.Gap = time.Hour
		}
	})},
	{"a consumed event links no session", []Kind{Sequence}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		s, out := m.Step(s, e)
		for i := len(s.IDs) - 1; m.Window == Session && !m.Strict && i >= 0; i-- {
			if s.Steps[i] == 0 {
				s.remove(i, i+1)
			}
		}
		return s, out
	})},
	{"steps run together", []Kind{Sequence}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		if e.Steps > 1 {
			e.Steps |= e.Steps >> 1
		}
		return m.Step(s, e)
	})},
	{"order of steps ignored", []Kind{Sequence}, changed(func(m *Machine) {
		if !m.Strict {
			m.Kind = AllOf
		}
	})},
	{"conditions in order", []Kind{AllOf}, changed(func(m *Machine) { m.Kind = Sequence })},
	{"fires while it is above", []Kind{Aggregate}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		for i := range s.Steps {
			s.Steps[i] &^= fired
		}
		return m.Step(s, e)
	})},
	{"never arms again", []Kind{Aggregate}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		was := slices.ContainsFunc(s.Steps, func(b uint32) bool { return b&fired != 0 })
		s, out := m.Step(s, e)
		if was {
			out.Matches = nil
		}
		return s, out
	})},
	{"bound exclusive", []Kind{Aggregate}, changed(func(m *Machine) {
		if m.Crossing.Compare == AtLeast {
			m.Crossing.Compare = Above
		}
	})},
	{"restart exchanged", []Kind{Absence}, changed(func(m *Machine) { m.Restart = !m.Restart })},
	{"due at the deadline itself", []Kind{Absence}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		s, out := m.Step(s, e)
		for i := range s.Numbers {
			s.Numbers[i]--
		}
		s.DueMS = max(0, s.DueMS-1)
		return s, out
	})},
	{"never due", []Kind{Absence}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		s, out := m.Step(s, e)
		s.DueMS = 0
		return s, out
	})},
	{"never by what comes later", []Kind{Absence}, stepped(func(m Machine, s State, e Event) (State, Outcome) {
		highest := max(s.HighestMS, e.TimeMS)
		s, out := m.Step(s, e)
		if s.HighestMS = highest; len(out.Matches) > 0 {
			out.Matches = nil
		}
		return s, out
	})},
}

// Each planted fault must be seen by the search, in each kind that can have it.
func TestTheSearchCatchesPlantedFaults(t *testing.T) {
	n := seedtest.Draw(t)
	for _, f := range planted {
		for _, kind := range f.kinds {
			t.Run(f.name+"/"+string(kind), func(t *testing.T) {
				r := rand.New(rand.NewPCG(n, 0))
				for range 1_000_000 { // most show within a hundred, the rarest in one of some thousands
					if l := randomLog(r, kind); difference(f.plant(l.m), l) != "" {
						return
					}
				}
				t.Error("not one of 1,000,000 cases shows the fault")
			})
		}
	}
}

// prefixes is a sequence as it is told in one line: for every prefix the latest possible start. It
// knows relaxed sequences in order, sliding, skip_past_last. Updated from the first prefix to the
// last, one event would take two steps.
func prefixes(m Machine, events []Event, reversed bool) (spans [][2]int64) {
	start := make([]int64, m.Times)
	clear := func() {
		for i := range start {
			start[i] = -1
		}
	}
	clear()
	order := make([]int, m.Times)
	for i := range order {
		order[i] = m.Times - 1 - i
		if reversed {
			order[i] = i
		}
	}
	for _, e := range events {
		if e.Resets {
			clear()
		}
		for _, k := range order {
			switch {
			case e.Steps>>k&1 == 0:
			case k == 0:
				start[0] = e.TimeMS
			case start[k-1] >= 0:
				start[k] = start[k-1]
			}
		}
		if last := start[m.Times-1]; last >= 0 {
			if e.TimeMS-last <= m.Within.Milliseconds() {
				spans = append(spans, [2]int64{last, e.TimeMS})
				clear()
			} else {
				start[m.Times-1] = -1
			}
		}
	}
	return spans
}

func TestASequenceKeepsTheLatestStartOfEveryPrefix(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	caught := 0
	for range 1_000_000 { // most show within a hundred, the rarest in one of some thousands
		l := randomLog(r, Sequence)
		l.m.Frame = Frame{Within: l.m.Within}
		now := int64(0)
		var s State
		var got [][2]int64
		for i := range l.events {
			e := &l.events[i]
			now = max(now, e.TimeMS)
			e.TimeMS = now
			var out Outcome
			s, out = l.m.Step(s, *e)
			for _, m := range out.Matches {
				got = append(got, [2]int64{m.FirstMS, m.LastMS})
			}
		}
		if want := prefixes(l.m, l.events, false); !slices.Equal(got, want) {
			t.Fatalf("%+v\n%+v\ngot %v, want %v", l.m, l.events, got, want)
		}
		if !slices.Equal(got, prefixes(l.m, l.events, true)) {
			caught++
		}
	}
	if caught == 0 {
		t.Error("the order of prefixes makes no difference: the cases prove little")
	}
}

func TestNoMoreEntriesAreKeptThanTheCap(t *testing.T) {
	for _, m := range []Machine{
		{Kind: Count, Times: 2, Frame: Frame{AllowedLateness: time.Hour}},
		{Kind: Count, Times: 2, Frame: Frame{AllowedLateness: time.Hour, Strict: true}},
		{Kind: Sequence, Times: 2, Frame: Frame{Within: time.Hour, AllowedLateness: time.Hour}},
		{Kind: Sequence, Times: 2, Frame: Frame{Within: time.Hour, Strict: true}},
		{Kind: AllOf, Times: 2, Frame: Frame{Within: time.Hour, Window: Session, Gap: time.Hour}},
		{Kind: Aggregate, Crossing: Crossing{Sum, Above, 1e9}, Frame: Frame{Within: time.Hour}},
		{Kind: Absence, Restart: true, Frame: Frame{Within: time.Hour, AllowedLateness: time.Hour}},
	} {
		var s State
		for i := range 3 * MaxEntries {
			var out Outcome
			if s, out = m.Step(s, Event{ID: "e" + strconv.Itoa(i), TimeMS: int64(i), NowMS: int64(i), Steps: 1}); out.Matches != nil {
				t.Fatalf("%+v: event %d matched", m, i)
			}
		}
		if len(s.IDs) == 0 || len(s.IDs) > MaxEntries || s.IDs[len(s.IDs)-1] != "e"+strconv.Itoa(3*MaxEntries-1) || !m.Fits(s) {
			t.Errorf("%+v: %d entries", m, len(s.IDs))
		}
	}
}

func TestWhatLiesBetweenCostsLittle(t *testing.T) {
	m := Machine{Kind: Sequence, Times: 2, Frame: Frame{Within: time.Hour, AllowedLateness: 5 * time.Millisecond, Strict: true}}
	var s State
	for i := range 1000 {
		s, _ = m.Step(s, Event{ID: strconv.Itoa(i), TimeMS: int64(i), Steps: uint32(i % 100 / 99)})
	}
	if len(s.IDs) > 30 { // ten events of the pattern, one break behind each, and what may still come between
		t.Errorf("%d entries are kept: %v", len(s.IDs), s.Steps)
	}
	a := Machine{Kind: Absence, Frame: Frame{Within: time.Hour, AllowedLateness: 5 * time.Millisecond}}
	s = State{}
	for i := range 1000 {
		s, _ = a.Step(s, Event{ID: strconv.Itoa(i), TimeMS: int64(i), NowMS: int64(i), Steps: 1})
	}
	if len(s.IDs) > 7 || s.IDs[0] != "0" {
		t.Errorf("%d entries are kept: %v", len(s.IDs), s.IDs)
	}
}

func TestEntriesOutOfReachAreLetGo(t *testing.T) {
	m := Machine{Kind: Count, Times: 3, Frame: Frame{Within: 10 * time.Second, AllowedLateness: 5 * time.Second}}
	var s State
	for i := range 100 {
		s, _ = m.Step(s, Event{ID: strconv.Itoa(i), TimeMS: int64(i) * 6000, Steps: 1})
	}
	if len(s.IDs) > 3 { // 15 s reach back over two gaps of 6 s
		t.Errorf("%d entries are kept: %v", len(s.IDs), s.TimesMS)
	}
}
