package trigger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
)

// cases is how many random cases of each kind are tried: DWELL_CASES, else what CI has time for.
func cases(t *testing.T) int {
	if s := os.Getenv("DWELL_CASES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 30_000
}

var kinds = []Kind{Count, Sequence, AllOf, Aggregate, Absence}

// log is a random case.
type log struct {
	m      Machine
	events []Event
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func randomLog(r *rand.Rand, kind Kind) log {
	ms := func(n int) time.Duration { return time.Duration(r.IntN(n)) * time.Millisecond }
	l := log{m: Machine{Kind: kind, Times: 1 + r.IntN(3), Frame: Frame{
		Within: time.Millisecond + ms(10), AllowedLateness: pick(r, 0, ms(10)), AfterMatch: pick(r, SkipPastLast, SkipToNext),
	}}}
	steps := 1
	switch kind {
	case Count, Sequence:
		l.m.Strict = r.IntN(3) == 0
		l.m.Window, l.m.Gap = pick(r, Sliding, "", Tumbling, Session), ms(5)
	case AllOf:
		l.m.Window, l.m.Gap = pick(r, Sliding, Tumbling, Session), ms(5)
	case Aggregate:
		l.m.Window, l.m.Gap = pick(r, Sliding, Tumbling, Session), ms(5)
		l.m.Crossing = Crossing{pick(r, Sum, Distinct, Min, Max, Avg), pick(r, Above, AtLeast, Below, AtMost), float64(r.IntN(9) - 2)}
	case Absence:
		l.m.Restart = r.IntN(2) == 0
		steps = 2
	}
	if kind == Sequence || kind == AllOf {
		l.m.Times = 2 + r.IntN(2)
		steps = l.m.Times
	}
	now, back := int64(0), r.IntN(2)*r.IntN(16)
	for i := range 2 + r.IntN(9) {
		now += int64(r.IntN(4))
		e := Event{ID: "e" + strconv.Itoa(i), TimeMS: now, NowMS: now, Steps: 1 << r.IntN(steps), Resets: r.IntN(14) == 0, Number: float64(r.IntN(7) - 2)}
		switch r.IntN(12) {
		case 0, 1, 2: // late, some too late
			e.TimeMS = max(0, now-int64(r.IntN(10)))
		case 3:
			e.Steps |= 1 << r.IntN(steps)
		case 4:
			e.Steps, e.Resets = 0, e.Resets || !l.m.Strict
		case 5:
			e.TimeMS += int64(r.IntN(6))
		}
		if kind == Absence {
			e.NowMS += int64(back) // an old log, read again
		}
		l.events = append(l.events, e)
	}
	return l
}

// stepper is a Machine, or one with a planted fault.
type stepper interface {
	Step(State, Event) (State, Outcome)
	Wake(State, int64) (State, Outcome)
}

// difference compares a machine with the search on one log; empty: none. Between two events the
// machine is woken when it asks for it, the search at every moment.
func difference(m stepper, l log) string {
	o := search{m: l.m}
	var s State
	var got Outcome
	now := int64(0)
	for rank, e := range append(slices.Clone(l.events), Event{TimeMS: -1, NowMS: now + 1000}) {
		if l.m.Kind == Absence {
			end := e.NowMS
			if e.TimeMS < 0 {
				end = now + 80
			}
			for ; now <= end; now++ {
				var fired []*Match
				for s.DueMS != 0 && s.DueMS <= now {
					if s, got = m.Wake(s, s.DueMS); len(got.Matches) == 0 && s.DueMS != 0 && s.DueMS <= now {
						return fmt.Sprintf("%+v\n%+v\nstays due at %d", l.m, l.events, s.DueMS)
					}
					fired = append(fired, got.Matches...)
				}
				ids, spans := o.absences(now)
				if d := compare(fired, ids, nil, spans); d != "" {
					return fmt.Sprintf("%+v\n%+v\nat %d: %s", l.m, l.events, now, d)
				}
			}
			now = end
		}
		if e.TimeMS < 0 {
			break
		}
		s, got = m.Step(s, e)
		late, ids, numbers, spans := o.step(rank, e)
		d := compare(got.Matches, ids, numbers, spans)
		if got.Late != late {
			d = fmt.Sprintf("late is %v, want %v", got.Late, late)
		}
		if d == "" && (!l.m.Fits(s) || !slices.IsSorted(s.TimesMS)) {
			d = fmt.Sprintf("left is %+v", s)
		}
		if d != "" {
			return fmt.Sprintf("%+v\n%+v\nevent %d: %s", l.m, l.events, rank, d)
		}
	}
	return ""
}

func compare(got []*Match, ids [][]string, numbers []float64, spans [][2]int64) string {
	var gotIDs [][]string
	var gotSpans [][2]int64
	for i, m := range got {
		gotIDs, gotSpans = append(gotIDs, m.EventIDs), append(gotSpans, [2]int64{m.FirstMS, m.LastMS})
		if i < len(numbers) && m.Number != numbers[i] {
			return fmt.Sprintf("number is %v, want %v", m.Number, numbers[i])
		}
	}
	if !reflect.DeepEqual(gotIDs, ids) || !reflect.DeepEqual(gotSpans, spans) {
		return fmt.Sprintf("matches are %v %v, want %v %v", gotIDs, gotSpans, ids, spans)
	}
	return ""
}

func TestPatternsDecideAsASearchOverAllSubsequences(t *testing.T) {
	n := seedtest.Draw(t)
	for i, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			r := rand.New(rand.NewPCG(n, uint64(i)))
			matches, lates := 0, 0
			for range cases(t) {
				l := randomLog(r, kind)
				if d := difference(&l.m, l); d != "" {
					t.Fatal(d)
				}
				var s State
				for _, e := range l.events {
					var out Outcome
					s, out = l.m.Step(s, e)
					matches += len(out.Matches)
					if out.Late {
						lates++
					}
				}
			}
			if matches < cases(t)/10 || lates < cases(t)/10 {
				t.Errorf("only %d matches and %d late events: the cases prove little", matches, lates)
			}
		})
	}
}

func FuzzPatterns(f *testing.F) {
	for i := range uint64(20) {
		f.Add(i, i%uint64(len(kinds)))
	}
	f.Fuzz(func(t *testing.T, n, kind uint64) {
		l := randomLog(rand.New(rand.NewPCG(n, 0)), kinds[kind%uint64(len(kinds))])
		if d := difference(&l.m, l); d != "" {
			t.Fatal(d)
		}
	})
}
