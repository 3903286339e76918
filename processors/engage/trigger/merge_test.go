package trigger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
)

// device steps events and wakes when it is asked to, up to the time of each.
type device struct {
	m       Machine
	s       State
	matches []*Match
}

func (d *device) wake(ms int64) {
	for d.s.DueMS != 0 && d.s.DueMS <= ms {
		due := d.s.DueMS
		var out Outcome
		d.s, out = d.m.Wake(d.s, due)
		d.matches = append(d.matches, out.Matches...)
	}
}

func (d *device) step(e Event) {
	d.wake(e.NowMS)
	var out Outcome
	d.s, out = d.m.Step(d.s, e)
	d.matches = append(d.matches, out.Matches...)
}

func told(all []*Match) string {
	text := ""
	for _, m := range all {
		text += fmt.Sprintf("%v %d-%d %v\n", m.EventIDs, m.FirstMS, m.LastMS, m.Number)
	}
	return text
}

// inOrder makes a log one of events that arrive when they happen, no two at once.
func inOrder(l *log) {
	now := int64(1000)
	slices.SortStableFunc(l.events, func(a, b Event) int { return int(a.TimeMS - b.TimeMS) })
	for i := range l.events {
		now += 1 + l.events[i].TimeMS%3
		l.events[i].TimeMS, l.events[i].NowMS = now, now
	}
}

// mergedOnce runs a log through two devices until the claim, merges them, goes on, and compares with one
// machine. whole says that the past is known whole, else only what the states keep. ran is false when
// something matched before the claim, for which no promise is made.
func mergedOnce(l log, claim int, two, whole bool, split func(i int) bool, merge func(*Machine, State, State, []Event, int64) (State, Outcome)) (ran bool, fault string) {
	one, user, anonymous := device{m: l.m}, device{m: l.m}, device{m: l.m}
	var past []Event
	at := int64(1000)
	for i, e := range l.events[:claim] {
		at = e.NowMS
		one.step(e)
		if split(i) {
			user.step(e)
			continue
		}
		anonymous.step(e)
		if whole {
			past = append(past, e)
		}
	}
	user.wake(at)
	anonymous.wake(at)
	resets := slices.ContainsFunc(l.events[:claim], func(e Event) bool { return e.Resets })
	if len(user.matches)+len(anonymous.matches) > 0 || resets && two {
		return false, ""
	}
	var out Outcome
	user.s, out = merge(&l.m, user.s, anonymous.s, past, at)
	user.matches = out.Matches
	for _, e := range l.events[claim:] {
		one.step(e)
		user.step(e)
	}
	end := at + 3*time.Hour.Milliseconds()
	one.wake(end)
	user.wake(end)
	if got, want := told(user.matches), told(one.matches); got != want {
		return true, fmt.Sprintf("%+v\n%+v\nclaim before %d\ngot\n%swant\n%s", l.m, l.events, claim, got, want)
	}
	return true, ""
}

// randomMerge is one case: two devices with all that may be late, or one device and any lateness.
func randomMerge(r *rand.Rand, kind Kind, merge func(*Machine, State, State, []Event, int64) (State, Outcome)) (bool, string) {
	l := randomLog(r, kind)
	inOrder(&l)
	two := r.IntN(2) == 0
	if two {
		l.m.AllowedLateness = time.Hour // nothing is let go of
	}
	sides := r.Uint64()
	return mergedOnce(l, r.IntN(len(l.events)+1), two, r.IntN(2) == 0 || kind == Absence || two, func(i int) bool { return two && sides>>i&1 == 1 }, merge)
}

func TestMergedStatesGoOnAsOne(t *testing.T) {
	n := seedtest.Draw(t)
	for _, kind := range kinds {
		r := rand.New(rand.NewPCG(n, 1))
		ran := 0
		for range 30_000 {
			ok, fault := randomMerge(r, kind, (*Machine).Merge)
			if fault != "" {
				t.Fatalf("%s: %s", kind, fault)
			}
			if ok {
				ran++
			}
		}
		if ran < 5_000 {
			t.Errorf("%s: only %d of 30,000 cases make a promise", kind, ran)
		}
	}
}

// Each planted fault must be seen by the property, in each kind that can have it.
func TestThePropertyOfMergesCatchesPlantedFaults(t *testing.T) {
	n := seedtest.Draw(t)
	for name, merge := range map[string]func(*Machine, State, State, []Event, int64) (State, Outcome){
		"the past is lost": func(m *Machine, s, _ State, _ []Event, now int64) (State, Outcome) {
			return m.Merge(s, State{}, nil, now)
		},
		"the user is lost": func(m *Machine, _, o State, p []Event, now int64) (State, Outcome) {
			return m.Merge(State{}, o, p, now)
		},
		"no order": func(m *Machine, s, o State, p []Event, now int64) (State, Outcome) {
			for i := range p {
				p[i].TimeMS = max(p[i].TimeMS, s.HighestMS)
			}
			return m.Merge(s, State{FloorMS: o.FloorMS, HighestMS: o.HighestMS}, p, now)
		},
	} {
		for _, kind := range kinds {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				r := rand.New(rand.NewPCG(n, 1))
				for range 1_000_000 {
					if _, fault := randomMerge(r, kind, merge); fault != "" {
						return
					}
				}
				t.Error("not one of 1,000,000 cases shows the fault")
			})
		}
	}
}

// What was used up before the claim is not used again, whoever used it.
func TestWhatMatchedBeforeAMergeIsNotMatchedAgain(t *testing.T) {
	n := seedtest.Draw(t)
	for _, kind := range kinds {
		r := rand.New(rand.NewPCG(n, 2))
		ran := 0
		for range 20_000 {
			l := randomLog(r, kind)
			inOrder(&l)
			d := device{m: l.m}
			at := int64(1000)
			for _, e := range l.events {
				d.step(e)
				at = e.NowMS
			}
			d.wake(at)
			if len(d.matches) == 0 {
				continue
			}
			ran++
			past := slices.Clone(l.events)
			if _, out := l.m.Merge(State{}, d.s, past, at); len(out.Matches) > 0 {
				t.Fatalf("%+v\n%+v\nmatched %sagain %s", l.m, l.events, told(d.matches), told(out.Matches))
			}
		}
		if ran < 1000 {
			t.Errorf("%s: only %d cases", kind, ran)
		}
	}
}
