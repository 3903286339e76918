package processors_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

type event struct{ Do string }

type row struct{ Log []string }

var (
	events = topics.Stream[event]("t.events")
	prices = &processors.Whole[map[string]int, map[string]int]{
		Topic: topics.Stream[map[string]int]("t.prices"),
		Fold: func(view map[string]int, _ string, rec map[string]int, deleted bool) map[string]int {
			if deleted {
				return nil
			}
			return rec
		},
	}
)

func define() *processors.Def {
	return processors.Define(processors.Processor[row]{
		Name:   "t",
		Inputs: []processors.Input[row]{processors.On(events, step)},
		Whole:  []processors.AnyWhole{prices},
		Wake: func(t *processors.Turn[row]) {
			t.State.Log = append(t.State.Log, "wake "+t.Now.Format("04:05"))
			if len(t.State.Log) < 4 {
				t.WakeAt(t.Now.Add(time.Minute))
			}
		},
	})
}

func step(t *processors.Turn[row], e event) {
	switch e.Do {
	case "log":
		t.State.Log = append(t.State.Log, t.Now.Format("04:05"))
	case "arm":
		t.WakeAt(t.Now.Add(time.Minute))
	case "past":
		t.WakeAt(t.Now.Add(-time.Minute))
	case "cancel":
		t.WakeAt(time.Time{})
	case "forget":
		t.Forget()
	case "same":
		t.Same()
	case "act":
		t.Act("hi", "push")
	case "price":
		t.State.Log = append(t.State.Log, strings.Repeat("x", processors.Look(t, prices)["x"]))
	}
}

// run steps records at minutes past the epoch and returns the last call.
func run(t *testing.T, d *processors.Def, c *processors.Call, minute int, do string) {
	t.Helper()
	b, err := events.Codec.Append(nil, event{do})
	if err != nil {
		t.Fatal(err)
	}
	c.Key, c.NowMS, c.Value, c.Changed, c.Out = "a/b", int64(minute)*60_000, b, false, nil
	if c.Views == nil {
		c.Views = []any{d.Whole[0].Zero()}
	}
	if err := d.Step(0, c); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, d *processors.Def, c *processors.Call) string {
	t.Helper()
	if c.Row == nil {
		return "none"
	}
	b, err := d.AppendRow(nil, c.Row)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.DecodeRow(b)
	if err != nil {
		t.Fatal(err)
	}
	if d.WakeMS(again) != d.WakeMS(c.Row) {
		t.Fatal("the deadline does not survive the codec")
	}
	var e schemas.Row
	if err := e.UnmarshalVT(b); err != nil {
		t.Fatal(err)
	}
	return string(e.State)
}

func TestOwnDeadlinesWakeBeforeTheRecord(t *testing.T) {
	d, c := define(), &processors.Call{}
	run(t, d, c, 0, "arm")
	run(t, d, c, 3, "log")
	if got := stored(t, d, c); got != `{"Log":["wake 01:00","wake 02:00","wake 03:00","03:00"]}` {
		t.Error(got)
	}
	if d.WakeMS(c.Row) != 4*60_000 {
		t.Errorf("deadline = %d", d.WakeMS(c.Row))
	}
}

func TestWakeStopsAtTheTimeAskedFor(t *testing.T) {
	d, c := define(), &processors.Call{}
	run(t, d, c, 0, "arm")
	c.NowMS, c.Changed = 59_999, false
	if err := d.Wake(c); err != nil || c.Changed {
		t.Fatalf("woke early: %v", err)
	}
	c.NowMS = 125_000
	if err := d.Wake(c); err != nil || !c.Changed {
		t.Fatalf("did not wake: %v", err)
	}
	if got := stored(t, d, c); got != `{"Log":["wake 01:00","wake 02:00"]}` || c.NowMS != 125_000 {
		t.Error(got, c.NowMS)
	}
}

func TestLogicalTimeNeverGoesBackForARow(t *testing.T) {
	d, c := define(), &processors.Call{}
	run(t, d, c, 5, "log")
	run(t, d, c, 2, "log")
	if got := stored(t, d, c); got != `{"Log":["05:00","05:00"]}` {
		t.Error(got)
	}
}

func TestDeadlineInThePastComesNext(t *testing.T) {
	d, c := define(), &processors.Call{}
	run(t, d, c, 5, "past")
	if got := d.WakeMS(c.Row); got != 5*60_000+1 {
		t.Errorf("deadline = %d", got)
	}
	run(t, d, c, 5, "cancel")
	if got := d.WakeMS(c.Row); got != 0 {
		t.Errorf("deadline = %d after cancel", got)
	}
}

func TestForgetAndSame(t *testing.T) {
	d, c := define(), &processors.Call{}
	run(t, d, c, 0, "same")
	if c.Row != nil || c.Changed {
		t.Error("a step that changes nothing made a row")
	}
	run(t, d, c, 0, "forget")
	if c.Changed {
		t.Error("forgetting nobody is a change")
	}
	run(t, d, c, 0, "arm")
	run(t, d, c, 0, "forget")
	if c.Row != nil || !c.Changed {
		t.Error("the row is still there")
	}
}

func TestActionIDIsTheSameOnAReplay(t *testing.T) {
	d := define()
	id := func(minute int) string {
		c := &processors.Call{}
		run(t, d, c, minute, "act")
		a, err := topics.Actions.Codec.Decode(c.Out[0].Value)
		if err != nil || a.Tenant != "a" || a.User != "b" {
			t.Fatalf("%v, %v", a, err)
		}
		return a.Id
	}
	if first, again := id(1), id(1); first != again || first == id(2) || len(first) != 32 {
		t.Error("ids are drawn, not derived")
	}
	if processors.DeriveID("ab", "c") == processors.DeriveID("a", "bc") {
		t.Error("parts run together")
	}
}

func TestViewInForceIsSeenAndLeftAlone(t *testing.T) {
	d, c := define(), &processors.Call{}
	view, err := d.Whole[0].Fold(d.Whole[0].Zero(), "k", []byte(`{"x":3}`))
	if err != nil {
		t.Fatal(err)
	}
	c.Views = []any{view}
	run(t, d, c, 0, "price")
	if got := stored(t, d, c); got != `{"Log":["xxx"]}` {
		t.Error(got)
	}
	if kept, err := d.Whole[0].Fold(view, "k", []byte(`{`)); !errors.Is(err, schemas.ErrUndecodable) || len(kept.(map[string]int)) != 1 {
		t.Errorf("a broken record: %v, %v", kept, err)
	}
}

func TestUndecodableRecordIsNotStepped(t *testing.T) {
	d, c := define(), &processors.Call{Key: "a/b", Value: []byte("{"), Views: []any{map[string]int(nil)}}
	if err := d.Step(0, c); !errors.Is(err, schemas.ErrUndecodable) || c.Changed || c.Row != nil {
		t.Errorf("err = %v, row = %v", err, c.Row)
	}
}

func TestFalseDeclarationPanics(t *testing.T) {
	on := processors.On(events, step)
	for name, p := range map[string]processors.Processor[row]{
		"no name": {Inputs: []processors.Input[row]{on}}, "no input": {Name: "t"}, "twice": {Name: "t", Inputs: []processors.Input[row]{on, on}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: taken", name)
				}
			}()
			processors.Define(p)
		}()
	}
}

func TestOnlyACompactedTopicDeletes(t *testing.T) {
	kept := topics.Of(topics.Spec{Name: "kept", Compact: true}, schemas.Codec[event](schemas.JSON[event]{}))
	for name, c := range map[string]struct {
		from topics.Topic[event]
		key  string
		good bool
	}{"compacted": {kept, "a/b", true}, "no key": {kept, "", false}, "a stream": {events, "a/b", false}} {
		d := processors.Define(processors.Processor[row]{Name: "t", Inputs: []processors.Input[row]{
			processors.On(events, func(t *processors.Turn[row], _ event) { processors.Delete(t, c.from, c.key) }),
		}})
		call := &processors.Call{Key: "a/b", Value: []byte("{}")}
		func() {
			defer func() {
				if good := recover() == nil; good != c.good {
					t.Errorf("%s: done is %v", name, good)
				}
			}()
			if err := d.Step(0, call); err != nil {
				t.Error(err)
			}
		}()
		if c.good && (len(call.Out) != 1 || call.Out[0].Value != nil || call.Out[0].Key != c.key || call.Out[0].Topic != kept.Spec) {
			t.Errorf("%s: %+v", name, call.Out)
		}
	}
}
