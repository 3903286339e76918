package table

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// The record that grows the row beyond its limit is the one that goes, wherever batches end.
func TestRecordThatGrowsARowTooFarIsRejected(t *testing.T) {
	for _, size := range []int{1, 7, 200} {
		w := &world{s: store.Memory()}
		p := New(shared(func() time.Time { return time.UnixMilli(1) }), 0, w.s)
		var all []*kgo.Record
		for i := range int64(200) {
			all = append(all, rec(i, "a", "n", 1))
		}
		dead, aborts := 0, 0
		for len(all) > 0 {
			batch := all[:min(size, len(all))]
			p.Step(0, batch)
			recs, err := p.Outgoing()
			if errors.Is(err, ErrRetry) {
				aborts++
				p.Aborted()
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range recs {
				if r.Topic == topics.DeadLetters.Name {
					dead++
				}
			}
			if err := p.Committed(); err != nil {
				t.Fatal(err)
			}
			all = all[len(batch):]
		}
		v, err := w.s.Get([]byte("a"))
		if err != nil || len(v) > def.MaxRowBytes || len(v) < def.MaxRowBytes-2 {
			t.Errorf("batches of %d: a row of %d bytes, %v", size, len(v), err)
		}
		if n := bytes.Count(v, []byte("n")); n+dead != 200 || aborts != 1 {
			t.Errorf("batches of %d: %d in the row, %d dead, %d aborts", size, n, dead, aborts)
		}
	}
}

func TestTimeIsHeldBackByEveryInput(t *testing.T) {
	two := processors.Define(processors.Processor[notes]{Name: "two", Inputs: []processors.Input[notes]{
		processors.On(in, func(*processors.Turn[notes], string) {}), processors.On(out, func(*processors.Turn[notes], string) {}),
	}})
	s := shared(func() time.Time { return time.UnixMilli(1_000_000) })
	s.Def = two
	p := New(s, 0, store.Memory())
	never := func(int, int64) (int64, bool) { return 0, false }
	ended := func(which ...int) func(int, int64) (int64, bool) {
		return func(input int, _ int64) (int64, bool) { return 900_000, slices.Contains(which, input) }
	}
	if got := p.Time(never); got != 0 {
		t.Errorf("nothing stepped: %d", got)
	}
	p.Step(0, []*kgo.Record{rec(0, "a", "n", 500_000)})
	if got := p.Time(never); got != 0 {
		t.Errorf("one input stepped: %d", got)
	}
	if got := p.Time(ended(1)); got != 500_000 {
		t.Errorf("the other read to its end: %d", got)
	}
	if got := p.Time(ended(0, 1)); got != 900_000-Grace {
		t.Errorf("both read to their ends: %d", got)
	}
	p.Step(1, []*kgo.Record{rec(0, "a", "n", 990_000), rec(1, "a", "n", 2_000_000)})
	if got := p.Time(ended(0)); got != 900_000-Grace {
		t.Errorf("the first is behind: %d", got)
	}
	if s.Count.Ahead.Load() != 1 {
		t.Errorf("%d ahead", s.Count.Ahead.Load())
	}
	p.Aborted()
	if got := p.Time(never); got != 0 || p.Position(0) != Unknown {
		t.Errorf("after an abort: time %d, position %d", got, p.Position(0))
	}
}

// A record grows the row too far, and a wake changes it after that, in the same transaction: the record
// is the one that goes, and the wake counts.
func TestWakeIsNotBlamedForARecordThatGrewTheRow(t *testing.T) {
	s := store.Memory()
	p := New(shared(func() time.Time { return time.UnixMilli(10_000) }), 0, s)
	end := func() []*kgo.Record {
		t.Helper()
		recs, err := p.Outgoing()
		if err != nil {
			t.Fatal(err)
		}
		recs = slices.Clone(recs)
		if err := p.Committed(); err != nil {
			t.Fatal(err)
		}
		return recs
	}
	p.Step(0, []*kgo.Record{rec(0, "a", "w", 1000)})
	end()
	var grow []*kgo.Record
	for i := range int64(200) {
		grow = append(grow, rec(1+i, "a", "n", 1001))
	}
	p.Step(0, grow)
	p.Wake(3000, 10)
	if _, err := p.Outgoing(); !errors.Is(err, ErrRetry) {
		t.Fatalf("first try: %v", err)
	}
	p.Aborted()
	p.Step(0, grow)
	dead := 0
	for _, r := range end() {
		if r.Topic == topics.DeadLetters.Name {
			dead++
		}
	}
	v, err := s.Get([]byte("a"))
	if err != nil || len(v) > def.MaxRowBytes || dead == 0 || bytes.Count(v, []byte("n"))+dead != 200 {
		t.Errorf("%d bytes, %d dead, %v", len(v), dead, err)
	}
}
