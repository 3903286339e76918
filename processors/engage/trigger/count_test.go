package trigger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"testing"
	"time"
)

// seed of the random tests: DWELL_SEED, else another one each time. A failure prints it.
func seed(t *testing.T) uint64 {
	if s := os.Getenv("DWELL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := uint64(time.Now().UnixNano())
	t.Logf("DWELL_SEED=%d", n)
	return n
}

// machine is a Count or a Count with a planted fault.
type machine func(State, Event) (State, Outcome)

// log is a random case.
type log struct {
	count  Count
	events []Event
}

func randomLog(r *rand.Rand) log {
	l := log{count: Count{Times: 1 + r.IntN(4), Frame: Frame{
		Within: time.Duration(r.IntN(12)) * time.Millisecond, AllowedLateness: time.Duration(r.IntN(10)) * time.Millisecond,
		AfterMatch: []AfterMatch{SkipPastLast, SkipToNext}[r.IntN(2)],
	}}}
	ids, now := map[string]bool{}, int64(r.IntN(3))
	for range 2 + r.IntN(14) {
		now += int64(r.IntN(4))
		e := Event{ID: "e" + strconv.Itoa(r.IntN(30)), TimeMS: now, Counts: r.IntN(6) > 0}
		e.Resets = !e.Counts || r.IntN(20) == 0
		if r.IntN(3) == 0 { // late, some too late
			e.TimeMS = max(0, now-int64(r.IntN(14)))
		}
		if !ids[e.ID] { // duplicates do not get as far as a pattern
			ids[e.ID] = true
			l.events = append(l.events, e)
		}
	}
	return l
}

// naive decides by looking at everything that ever came: no state but the log itself.
func naive(c Count, events []Event) []Outcome {
	type entry struct {
		Event
		arrival  int
		consumed bool
	}
	var kept []*entry
	var taken, resets []int64
	var outcomes []Outcome
	for arrival, e := range events {
		if len(taken) > 0 && slices.Max(taken)-e.TimeMS > c.AllowedLateness.Milliseconds() {
			outcomes = append(outcomes, Outcome{Late: true})
			continue
		}
		taken = append(taken, e.TimeMS)
		if e.Resets {
			resets = append(resets, e.TimeMS)
			kept = slices.DeleteFunc(kept, func(k *entry) bool { return !k.consumed && k.TimeMS <= e.TimeMS })
		}
		outcome := Outcome{}
		before := func(k *entry) bool { return k.consumed && k.TimeMS > e.TimeMS }
		if e.Counts && !slices.ContainsFunc(resets, func(r int64) bool { return r > e.TimeMS }) && !slices.ContainsFunc(kept, before) {
			mine := &entry{Event: e, arrival: arrival}
			kept = append(kept, mine)
			var open []*entry
			for _, k := range kept {
				if !k.consumed {
					open = append(open, k)
				}
			}
			sort.Slice(open, func(i, j int) bool {
				if open[i].TimeMS != open[j].TimeMS {
					return open[i].TimeMS < open[j].TimeMS
				}
				return open[i].arrival < open[j].arrival
			})
			for i := 0; i+c.Times <= len(open); i++ {
				w := open[i : i+c.Times]
				if !slices.Contains(w, mine) || time.Duration(w[c.Times-1].TimeMS-w[0].TimeMS)*time.Millisecond > c.Within {
					continue
				}
				m := &Match{FirstMS: w[0].TimeMS, LastMS: w[c.Times-1].TimeMS, Reusable: c.AfterMatch == SkipToNext && c.Times > 1}
				for _, k := range w {
					m.EventIDs = append(m.EventIDs, k.ID)
				}
				if c.AfterMatch == SkipToNext {
					w[0].consumed = true
				} else {
					for _, k := range open[:i+c.Times] {
						k.consumed = true
					}
				}
				outcome.Match = m
				break
			}
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes
}

// difference compares a machine with naive on one log; empty: none.
func difference(step machine, l log) string {
	want := naive(l.count, l.events)
	var s State
	for i, e := range l.events {
		var got Outcome
		s, got = step(s, e)
		if !reflect.DeepEqual(got, want[i]) {
			return fmt.Sprintf("%+v\n%+v\nevent %d: got %+v %+v\nwant %+v %+v", l.count, l.events, i, got, got.Match, want[i], want[i].Match)
		}
		if len(s.IDs) != len(s.TimesMS) || !slices.IsSorted(s.TimesMS) {
			return fmt.Sprintf("%+v\n%+v\nevent %d leaves %+v", l.count, l.events, i, s)
		}
	}
	return ""
}

func TestCountDecidesAsASearchOverTheWholeLog(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	matches, lates := 0, 0
	for range 120_000 {
		l := randomLog(r)
		if d := difference(l.count.Step, l); d != "" {
			t.Fatal(d)
		}
		for _, o := range naive(l.count, l.events) {
			if o.Match != nil {
				matches++
			}
			if o.Late {
				lates++
			}
		}
	}
	if matches < 50_000 || lates < 20_000 {
		t.Errorf("only %d matches and %d late events: the cases prove little", matches, lates)
	}
}

// Each planted fault must be seen by the test above.
func TestSearchCatchesPlantedFaults(t *testing.T) {
	faults := map[string]func(Count) machine{
		"exclusive window": func(c Count) machine { c.Within -= time.Millisecond; return c.Step },
		"wide window":      func(c Count) machine { c.Within += time.Millisecond; return c.Step },
		"forgotten reset": func(c Count) machine {
			return func(s State, e Event) (State, Outcome) { e.Resets = false; return c.Step(s, e) }
		},
		"reset after the event": func(c Count) machine {
			return func(s State, e Event) (State, Outcome) {
				late := e.TimeMS < s.HighestMS-c.AllowedLateness.Milliseconds()
				s, out := c.Step(s, Event{ID: e.ID, TimeMS: e.TimeMS, Counts: e.Counts})
				if e.Resets && !late {
					s, _ = c.Step(s, Event{TimeMS: e.TimeMS, Resets: true})
				}
				return s, out
			}
		},
		"wrong consume": func(c Count) machine {
			if c.AfterMatch == SkipToNext {
				c.AfterMatch = SkipPastLast
			} else {
				c.AfterMatch = SkipToNext
			}
			return func(s State, e Event) (State, Outcome) {
				s, out := c.Step(s, e)
				if out.Match != nil { // the mark tells the modes apart; only the consumption is at fault here
					out.Match.Reusable = c.AfterMatch == SkipPastLast && c.Times > 1
				}
				return s, out
			}
		},
		"forgotten floor": func(c Count) machine {
			return func(s State, e Event) (State, Outcome) { s.FloorMS = 0; return c.Step(s, e) }
		},
		"floor excludes its own time": func(c Count) machine {
			return func(s State, e Event) (State, Outcome) {
				if e.TimeMS == s.FloorMS && s.FloorMS > 0 {
					e.Counts = false
				}
				return c.Step(s, e)
			}
		},
		"lateness forgotten": func(c Count) machine { c.AllowedLateness = time.Hour; return c.Step },
		"late by one": func(c Count) machine {
			c.AllowedLateness = max(0, c.AllowedLateness-time.Millisecond)
			return c.Step
		},
		"order of arrival": func(c Count) machine {
			return func(s State, e Event) (State, Outcome) {
				if n := len(s.TimesMS); n > 0 && e.TimeMS < s.TimesMS[n-1] {
					e.TimeMS = s.TimesMS[n-1]
				}
				return c.Step(s, e)
			}
		},
	}
	n := seed(t)
	for name, plant := range faults {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(n, 0))
			for range 20_000 {
				l := randomLog(r)
				if difference(plant(l.count), l) != "" {
					return
				}
			}
			t.Error("not one of 20,000 cases shows the fault")
		})
	}
}

func TestNoMoreEntriesAreKeptThanTheCap(t *testing.T) {
	c := Count{Times: 2, Frame: Frame{Within: 0, AllowedLateness: time.Hour}}
	var s State
	for i := range 3 * MaxEntries {
		var out Outcome
		if s, out = c.Step(s, Event{ID: "e" + strconv.Itoa(i), TimeMS: int64(i), Counts: true}); out.Match != nil {
			t.Fatalf("event %d matched", i)
		}
	}
	if len(s.IDs) != MaxEntries || s.IDs[0] != "e"+strconv.Itoa(2*MaxEntries) {
		t.Errorf("%d entries from %s, want the newest %d", len(s.IDs), s.IDs[0], MaxEntries)
	}
}

func TestEntriesOutOfReachAreLetGo(t *testing.T) {
	c := Count{Times: 3, Frame: Frame{Within: 10 * time.Second, AllowedLateness: 5 * time.Second}}
	var s State
	for i := range 100 {
		s, _ = c.Step(s, Event{ID: strconv.Itoa(i), TimeMS: int64(i) * 6000, Counts: true})
	}
	if len(s.IDs) > 3 { // 15 s reach back over two gaps of 6 s
		t.Errorf("%d entries are kept: %v", len(s.IDs), s.TimesMS)
	}
}

func TestReentrySpansItsModes(t *testing.T) {
	day := Reentry{Mode: Cooldown, Every: 24 * time.Hour}
	at := int64(1_000_000)
	end := at + day.Every.Milliseconds()
	for _, c := range []struct {
		name  string
		gate  Reentry
		spent Spent
		ms    int64
		want  bool
	}{
		{"zero means always", Reentry{}, Spent{3, at}, at, true},
		{"always", Reentry{Mode: Always}, Spent{3, at}, at, true},
		{"once, unspent", Reentry{Mode: Once}, Spent{}, at, true},
		{"once, spent", Reentry{Mode: Once}, Spent{1, at}, end * 10, false},
		{"cooldown, unspent", day, Spent{}, at, true},
		{"cooldown, a millisecond short", day, Spent{1, at}, end - 1, false},
		{"cooldown, over", day, Spent{1, at}, end, true},
		{"cooldown, a late match before the last", day, Spent{1, at}, at - 5, false},
	} {
		if got := c.gate.Allows(c.spent, c.ms); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if got := day.UntilMS(Spent{1, at}); got != end {
		t.Errorf("cooldown ends at %d, want %d", got, end)
	}
}

func TestShadowTakesNoSlotFromTheLive(t *testing.T) {
	rivals := []Contender{{"a", true}, {"a", false}, {"a", true}, {"a", false}, {"", false}, {"", false}, {"b", true}, {"b", false}}
	want := []int{0, 1, 0, 1, 4, 5, 6, 7}
	for i := range rivals {
		if got := Winner(rivals, i); got != want[i] {
			t.Errorf("contender %d loses to %d, want %d", i, got, want[i])
		}
	}
}
