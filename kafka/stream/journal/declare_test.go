package journal_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

var (
	people = &processors.Table[uint64]{Processor: "people"}
	list   = &processors.Table[uint64]{Processor: "list"}
)

// everything declares a processor with a join, a look-up, a loop, deadlines and a TTL.
func (w *world) everything(drifting bool) *processors.Def {
	loop := topics.Loop[uint64]("soup")
	for _, p := range []string{"people", "list"} {
		if err := kafka.Ensure(w.t.Context(), w.cfg, topics.Table(p, 1000)); err != nil {
			w.t.Fatal(err)
		}
	}
	sum := func(t *processors.Turn[memory], n uint64) {
		s := t.State
		s.N++
		s.Hash = s.Hash*31 + n + uint64(t.Now.UnixMilli()) + processors.Look(t, w.whole)
		if p := processors.Join(t, people); p != nil {
			s.Hash += *p << 20
		}
		if p := processors.Lookup(t, list, fmt.Sprint("acme/l", s.Hash%5)); p != nil {
			s.Hash += *p << 40
		}
		if drifting {
			s.Hash += w.drift.Load()
		}
		processors.Emit(t, w.out, t.Key, s.Hash)
	}
	return processors.Define(processors.Processor[memory]{
		Name: "soup", Journal: true, TTL: 2 * time.Second, Whole: []processors.AnyWhole{w.whole}, Outputs: []*topics.Spec{w.out.Spec},
		Joins: []processors.AnyTable{people}, Lookups: []processors.AnyTable{list},
		Inputs: []processors.Input[memory]{
			processors.On(w.left, func(t *processors.Turn[memory], o order) {
				sum(t, o.N)
				switch o.N % 4 {
				case 0:
					t.WakeAt(t.Now.Add(time.Second))
				case 1:
					processors.Loop(t, loop, fmt.Sprint("acme/u", t.State.Hash%40), o.N)
				}
			}),
			processors.On(loop, sum),
		},
		Wake: func(t *processors.Turn[memory]) { sum(t, 1) },
	})
}

// tables changes rows of the other processors.
func (w *world) tables() {
	w.t.Helper()
	var recs []*kgo.Record
	for range 10 {
		topic, table, key := "dwell.people-table", people, fmt.Sprint("acme/u", w.rng.IntN(40))
		if w.rng.IntN(2) == 0 {
			topic, table, key = "dwell.list-table", list, fmt.Sprint("acme/l", w.rng.IntN(5))
		}
		n := w.rng.Uint64N(1000)
		value, err := table.Append(nil, &n)
		if err != nil {
			w.t.Fatal(err)
		}
		if n%7 == 0 {
			value = nil
		}
		recs = append(recs, &kgo.Record{Topic: topic, Key: []byte(key), Value: value})
	}
	w.produce(recs...)
}

// Joins, look-ups, loops and row ends are done again to the byte, with what was in force at each step.
func TestReplayFollowsJoinsLookupsLoopsAndRowEnds(t *testing.T) {
	w := newWorld(t, 21)
	def := w.everything(true)
	for round := range 3 {
		stops := []func(){}
		for i := range 1 + round%2 {
			stop := w.run(def, fmt.Sprint("i", i), time.Duration(2+10*round)*time.Millisecond)
			stops = append(stops, func() { stop() })
		}
		for range 6 {
			w.turnFactor()
			w.tables()
			for range 30 {
				w.one()
				if w.rng.IntN(10) == 0 {
					w.tables()
				}
			}
			w.until("the input is read", func() bool { return w.read(def) >= w.sent })
		}
		for _, stop := range stops {
			stop()
		}
	}
	r := w.replay(def, journal.All)
	t.Logf("%+v", r)
	if r.Differences != 0 {
		t.Fatalf("%d differences, first %v", r.Differences, r.First)
	}
	if r.Records <= w.sent || r.Wakes == 0 || r.Rows == 0 || r.Outputs == 0 || len(r.Holed) != 0 {
		t.Errorf("%d sent; something was not replayed: %+v", w.sent, r)
	}
	for n := range int32(3) {
		if one := w.replay(def, n); one.Differences != 0 {
			t.Errorf("partition %d: %v", n, one.First)
		}
	}
	w.positions(def)
	w.drift.Add(1)
	if r := w.replay(def, journal.All); r.Differences == 0 {
		t.Error("a step that reads what changes was not found")
	}
}

// one sends one record to the first input.
func (w *world) one() {
	w.t.Helper()
	value, err := json.Marshal(order{"", w.rng.Uint64N(10_000)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ms += w.rng.Int64N(300)
	w.produce(&kgo.Record{Topic: w.left.Name, Key: fmt.Appendf(nil, "acme/u%d", w.rng.IntN(40)), Value: value, Timestamp: time.UnixMilli(w.ms)})
	w.sent++
}

// read is how many records of the first input the group has stepped.
func (w *world) read(def *processors.Def) (sum int64) {
	o, err := w.adm.FetchOffsets(w.t.Context(), "dwell."+def.Name)
	if err != nil {
		return -1
	}
	for _, r := range o.Offsets()[w.left.Name] {
		sum += max(r.At, 0)
	}
	return sum
}

// positions makes sure that the journal names the tables, and that they moved between steps.
func (w *world) positions(def *processors.Def) {
	w.t.Helper()
	cl, err := w.cfg.NewClient("journal", kgo.ConsumeTopics(journal.Topic("dwell."+def.Name)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	moved := map[string]bool{}
	w.until("the tables move in the journal", func() bool {
		for _, rec := range cl.PollFetches(w.t.Context()).Records() {
			var e schemas.JournalEntry
			if err := e.UnmarshalVT(rec.Value); err != nil || len(e.Whole) != 3 || len(e.Parts) != 3 || e.Parts[1] != 1 || e.Parts[2] != 3 {
				w.t.Fatalf("journal: %v of %v, %v", e.Parts, e.Whole, err)
			}
			for _, s := range e.Steps {
				moved[fmt.Sprint(s.WholeNext)] = true
			}
		}
		return len(moved) > 5
	})
}
