package processors_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

var (
	people = &processors.Table[event]{Processor: "people"}
	list   = &processors.Table[map[string]int]{Processor: "list", MaxRowBytes: 2 << 20}
	relay  = topics.Loop[event]("all")
)

// all uses everything that a processor may declare.
func all(ttl time.Duration) *processors.Def {
	return processors.Define(processors.Processor[row]{
		Name: "all", TTL: ttl, Joins: []processors.AnyTable{people}, Lookups: []processors.AnyTable{list},
		Inputs: []processors.Input[row]{
			processors.On(events, func(t *processors.Turn[row], e event) {
				who := "nobody"
				if p := processors.Join(t, people); p != nil {
					who = p.Do
				}
				n := 0
				if p := processors.Lookup(t, list, "x"); p != nil {
					n = (*p)["n"]
				}
				t.State.Log = append(t.State.Log, fmt.Sprint(who, n))
				switch e.Do {
				case "arm":
					t.WakeAt(t.Now.Add(time.Hour))
				case "same":
					t.Same()
				case "send":
					processors.Loop(t, relay, "a/other", e)
					processors.Loop(t, relay, "a/other", event{"again"})
				}
			}),
			processors.On(relay, func(t *processors.Turn[row], e event) {
				t.State.Log = append(t.State.Log, e.Do+t.Now.Format(" 04:05"))
				if e.Do == "send" {
					processors.Loop(t, relay, "a/b", event{"back"})
				}
			}),
		},
		Wake: func(t *processors.Turn[row]) { t.State.Log = append(t.State.Log, "woken") },
	})
}

func logOf(t *testing.T, r *proctest.Run, key string) string {
	t.Helper()
	b := r.Row(key)
	if b == nil {
		return "none"
	}
	var e schemas.Row
	if err := e.UnmarshalVT(b); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(e.State), `{"Log":[`), `]}`)
}

func TestJoinIsTheOwnKeyAndLookupAnyKey(t *testing.T) {
	r := proctest.New(t, all(0))
	proctest.Send(r, events, "a/b", event{})
	proctest.Put(r, people, "a/b", event{"bob"})
	proctest.Put(r, people, "z/b", event{"another tenant's"})
	proctest.Put(r, list, "x", map[string]int{"n": 7})
	proctest.Send(r, events, "a/b", event{})
	proctest.Drop(r, people, "a/b")
	proctest.Send(r, events, "a/b", event{})
	if got := logOf(t, r, "a/b"); got != `"nobody0","bob7","nobody7"` {
		t.Error(got)
	}
	if d := all(0); d.Tables[0].Topic().Name != "dwell.people-table" || d.Tables[0].Whole || !d.Tables[1].Whole || d.Tables[1].Topic().MaxMessageBytes < 2<<20 {
		t.Errorf("%+v", d.Tables)
	}
}

func TestLoopStepsOtherKeysInOrderAtTheSendersTime(t *testing.T) {
	r := proctest.New(t, all(0))
	r.Advance(61 * time.Second)
	proctest.Send(r, events, "a/b", event{"send"})
	if got := logOf(t, r, "a/other"); got != `"send 01:01","again 01:01"` {
		t.Error(got)
	}
	if got := logOf(t, r, "a/b"); got != `"nobody0","back 01:01"` {
		t.Error(got)
	}
}

func TestRowEndsAfterItsTTLAndNotBefore(t *testing.T) {
	r := proctest.New(t, all(30*time.Minute))
	proctest.Send(r, events, "a/b", event{})
	r.Advance(29 * time.Minute)
	proctest.Send(r, events, "a/b", event{"same"}) // does not count
	proctest.Send(r, events, "a/c", event{})
	r.Advance(time.Minute - time.Millisecond)
	if got := logOf(t, r, "a/b"); got != `"nobody0"` {
		t.Errorf("before: %s", got)
	}
	r.Advance(time.Millisecond)
	if b, c := logOf(t, r, "a/b"), logOf(t, r, "a/c"); b != "none" || c != `"nobody0"` {
		t.Errorf("b %s, c %s", b, c)
	}
	// The deadline comes first, however late, and counts as a turn.
	proctest.Send(r, events, "a/b", event{"arm"})
	r.Advance(89 * time.Minute)
	if got := logOf(t, r, "a/b"); got != `"nobody0","woken"` {
		t.Error(got)
	}
	r.Advance(time.Minute)
	if got := logOf(t, r, "a/b"); got != "none" {
		t.Error(got)
	}
}

// A record that comes after its row's end finds none, also where nobody woke the row meanwhile.
func TestRecordFindsNoRowThatHasEnded(t *testing.T) {
	d, c := all(time.Hour), &processors.Call{Key: "a/b", Value: []byte(`{"Do":"x"}`), Tables: none{}}
	for _, minute := range []int64{0, 59, 119} {
		c.NowMS = minute * 60_000
		if err := d.Step(0, c); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(processors.State[row](c.Row).Log); n != 1 {
		t.Errorf("%d turns in the row", n)
	}
	b, err := d.AppendRow(nil, c.Row)
	if err != nil {
		t.Fatal(err)
	}
	if ms, err := d.StoredWakeMS(b); err != nil || ms != 179*60_000 || ms != d.WakeMS(c.Row) {
		t.Errorf("ends at %d, %v", ms, err)
	}
	if _, err := d.StoredWakeMS([]byte{0xff}); !errors.Is(err, schemas.ErrUndecodable) {
		t.Errorf("a broken row: %v", err)
	}
}

type none struct{}

func (none) Row(int, string) ([]byte, error) { return nil, nil }

// A row that got a deadline when there was a Wake ends by its TTL when there is none any more.
func TestOldDeadlineDoesNotHoldARowForEver(t *testing.T) {
	d := processors.Define(processors.Processor[row]{Name: "t", TTL: time.Minute, Inputs: []processors.Input[row]{processors.On(events, step)}})
	b, err := (&schemas.Row{WakeMs: 5, TimeMs: 1000, State: []byte("{}")}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if ms, err := d.StoredWakeMS(b); err != nil || ms != 61_000 {
		t.Errorf("%d, %v", ms, err)
	}
}

func TestFalseTablesPanic(t *testing.T) {
	on := []processors.Input[row]{processors.On(events, step)}
	tables := func(names ...string) (all []processors.AnyTable) {
		for _, n := range names {
			all = append(all, &processors.Table[row]{Processor: n})
		}
		return all
	}
	other := processors.On(topics.Loop[event]("other"), step)
	for name, f := range map[string]func(){
		"own table": func() { processors.Define(processors.Processor[row]{Name: "t", Inputs: on, Joins: tables("t")}) },
		"no name":   func() { processors.Define(processors.Processor[row]{Name: "t", Inputs: on, Joins: tables("")}) },
		"twice": func() {
			processors.Define(processors.Processor[row]{Name: "t", Inputs: on, Joins: tables("a"), Lookups: tables("a")})
		},
		"only the loop": func() {
			processors.Define(processors.Processor[row]{Name: "other", Inputs: []processors.Input[row]{other}})
		},
		"half a ms": func() { processors.Define(processors.Processor[row]{Name: "t", Inputs: on, TTL: time.Microsecond}) },
		"undeclared": func() {
			d := processors.Define(processors.Processor[row]{Name: "t", Inputs: []processors.Input[row]{processors.On(events, func(t *processors.Turn[row], _ event) { processors.Join(t, people) })}})
			_ = d.Step(0, &processors.Call{Key: "a/b", Value: []byte("{}")})
		},
		"a join is no look-up": func() {
			d := processors.Define(processors.Processor[row]{Name: "t", Joins: []processors.AnyTable{people}, Inputs: []processors.Input[row]{
				processors.On(events, func(t *processors.Turn[row], _ event) { processors.Lookup(t, people, "a/c") }),
			}})
			_ = d.Step(0, &processors.Call{Key: "a/b", Value: []byte("{}"), Tables: none{}})
		},
		"nobody's key": func() {
			d := processors.Define(processors.Processor[row]{Name: "all", Inputs: []processors.Input[row]{
				processors.On(events, func(t *processors.Turn[row], e event) { processors.Loop(t, relay, "", e) }), processors.On(relay, step),
			}})
			_ = d.Step(0, &processors.Call{Key: "a/b", Value: []byte("{}")})
		},
		"another's loop": func() {
			d := processors.Define(processors.Processor[row]{Name: "t", Inputs: []processors.Input[row]{processors.On(events, func(t *processors.Turn[row], e event) { processors.Loop(t, relay, "a/c", e) })}})
			_ = d.Step(0, &processors.Call{Key: "a/b", Value: []byte("{}")})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: taken", name)
				}
			}()
			f()
		}()
	}
}
