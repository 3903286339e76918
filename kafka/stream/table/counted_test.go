package table

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
)

func TestWhatStepsAndWakesCountIsAddedUp(t *testing.T) {
	counter := &processors.Counter{Name: "notes_total", Label: "what", Values: []string{"heard", "woken"}}
	s := shared(time.Now)
	s.Def = processors.Define(processors.Processor[notes]{
		Name: "notes", Counters: []*processors.Counter{counter},
		Wake: func(t *processors.Turn[notes]) { processors.Count(t, counter, 1) },
		Inputs: []processors.Input[notes]{processors.On(in, func(t *processors.Turn[notes], _ string) {
			processors.Count(t, counter, 0)
			t.WakeAt(t.Now.Add(time.Second))
		})},
	})
	s.Count = &Counters{Counted: make([]atomic.Int64, s.Def.Counts())}
	p, other := New(s, 0, store.Memory()), New(s, 1, store.Memory())
	want := func(heard, woken int64) {
		t.Helper()
		if got := [2]int64{s.Count.Counted[0].Load(), s.Count.Counted[1].Load()}; got != [2]int64{heard, woken} {
			t.Errorf("counted %v, want %d and %d", got, heard, woken)
		}
	}
	p.Step(0, []*kgo.Record{rec(0, "a", "n", 1000), rec(1, "b", "n", 1000), rec(2, "a", "n", 2500)})
	want(3, 1) // the third record's row was due before it
	other.Step(0, []*kgo.Record{rec(0, "c", "n", 1000)})
	want(4, 1)
	p.Aborted()
	p.Step(0, []*kgo.Record{rec(0, "a", "n", 1000)})
	want(5, 1) // once more, as dwell_records_total says
	if _, err := p.Outgoing(); err != nil {
		t.Fatal(err)
	}
	if err := p.Committed(); err != nil {
		t.Fatal(err)
	}
	p.Wake(3000, 10)
	want(5, 2)
}
