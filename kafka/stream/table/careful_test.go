package table

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
)

// A row that a careful step left as it was is written as it is when it changes after that, once the
// careful minute is over.
func TestRowOfACarefulStepIsNotWrittenAsItWas(t *testing.T) {
	s := store.Memory()
	now := time.UnixMilli(1)
	p := New(shared(func() time.Time { return now }), 0, s)
	end := func() {
		t.Helper()
		if _, err := p.Outgoing(); err != nil {
			t.Fatal(err)
		}
		if err := p.Committed(); err != nil {
			t.Fatal(err)
		}
	}
	p.Step(0, []*kgo.Record{rec(0, "a", "n", 1)})
	end()
	bad := []*kgo.Record{rec(1, "a", "p", 2)}
	p.Step(0, bad)
	if _, err := p.Outgoing(); !errors.Is(err, ErrRetry) {
		t.Fatalf("first try: %v", err)
	}
	p.Aborted()
	p.Step(0, bad)
	end()
	now = now.Add(2 * carefully)
	p.Step(0, []*kgo.Record{rec(2, "b", "n", 3)})
	end() // the careful minute is over
	p.Step(0, []*kgo.Record{rec(3, "a", "z", 4)})
	end()
	if v, err := s.Get([]byte("a")); err != nil || text(t, v) != "nz" {
		t.Errorf("the row is %q, %v", text(t, v), err)
	}
}

// text of a stored row.
func text(t *testing.T, v []byte) string {
	t.Helper()
	row, err := def.DecodeRow(v)
	if err != nil {
		t.Fatal(err)
	}
	return processors.State[notes](row).Text
}
