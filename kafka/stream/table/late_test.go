package table

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
)

// Two records come after a deadline that they would have moved, because a broker was away. The row's time
// stays at the deadline, so both ask for the same next one, and that acts once, whatever is aborted
// (torture, seed 3777929953163663157).
func TestLateRecordsLeaveOneDeadline(t *testing.T) {
	s := store.Memory()
	p := New(shared(func() time.Time { return time.UnixMilli(2_000_000) }), 0, s)
	end := func(commit bool) (woken int) {
		t.Helper()
		recs, err := p.Outgoing()
		if err != nil {
			t.Fatal(err)
		}
		if !commit {
			p.Aborted()
			return 0
		}
		for _, r := range recs {
			if r.Topic == out.Name && strings.Contains(string(r.Value), "woken") {
				woken++
			}
		}
		if err := p.Committed(); err != nil {
			t.Fatal(err)
		}
		return woken
	}
	due := func(want int64) {
		t.Helper()
		if got, _ := p.Due(want); got != want {
			t.Fatalf("the next deadline is %d, want %d", got, want)
		}
	}
	p.Step(0, []*kgo.Record{rec(0, "a", "w", 1_000_000)})
	end(true)
	for _, commit := range []bool{false, true} {
		due(1_001_000)
		p.Wake(1_001_500, 10) // the wall clock, less the grace
		if n := end(commit); commit && n != 1 {
			t.Fatalf("woken %d times", n)
		}
	}
	for i, ms := range []int64{1_000_200, 1_000_300} {
		for _, commit := range []bool{false, true} {
			p.Step(0, []*kgo.Record{rec(int64(i+1), "a", "w", ms)})
			if n := end(commit); n != 0 {
				t.Fatalf("the late record %d woke the row", i)
			}
		}
		due(1_002_000)
	}
	p.Wake(1_001_999, 10)
	if n := end(true); n != 0 {
		t.Fatal("woken too early")
	}
	p.Step(0, []*kgo.Record{rec(3, "a", "n", 1_002_100)})
	if n := end(true); n != 1 {
		t.Fatalf("woken %d times by the next record", n)
	}
	if v, err := s.Get([]byte("a")); err != nil || !strings.Contains(string(v), `wWwwWn`) {
		t.Errorf("the row is %q, %v", v, err)
	}
}
