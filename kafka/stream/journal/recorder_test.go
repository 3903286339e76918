package journal

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func recorder() *Recorder {
	in, other := topics.Spec{Name: "in"}, topics.Spec{Name: "other"}
	return NewRecorder(&processors.Def{Journal: true, Inputs: []*topics.Spec{&in, &other}}, nil, "j", 3, "v1")
}

func batch(first, last int64) []*kgo.Record {
	var all []*kgo.Record
	for o := first; o <= last; o++ {
		all = append(all, &kgo.Record{Offset: o})
	}
	return all
}

// written decodes what the transaction wrote, in one.
func written(t *testing.T, r *Recorder) (steps []*schemas.JournalStep, records int) {
	t.Helper()
	out, err := r.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, rec := range out {
		e, err := entries.Decode(rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		if e.More != (i < len(out)-1) || e.Version != "v1" || e.TableNext != 7 || rec.Topic != "j" || rec.Partition != 3 {
			t.Errorf("record %d of %d: more %v, version %s, table %d, in %s/%d", i, len(out), e.More, e.Version, e.TableNext, rec.Topic, rec.Partition)
		}
		if len(rec.Value) > 2*chunkBytes {
			t.Errorf("record %d has %d bytes", i, len(rec.Value))
		}
		steps = append(steps, e.Steps...)
	}
	r.Reset()
	return steps, len(out)
}

func TestBatchesOfOneInputAreOneStepUntilSomethingComesBetween(t *testing.T) {
	r := recorder()
	for range 2 { // the second uses everything again
		v1, v2 := []int64{1}, []int64{2}
		r.Batch(0, batch(10, 12), v1, 7)
		r.Rejected(11)
		r.Batch(0, batch(15, 15), v1, 8)
		r.Rejected(15)
		r.Batch(0, batch(16, 17), v2, 8)
		r.Batch(1, batch(0, 4), v2, 8)
		r.Woken(99, 0, nil, v2, 8)
		r.Woken(100, 3, nil, v2, 8)
		r.Batch(1, batch(5, 5), v2, 8)
		r.Batch(1, []*kgo.Record{control(6)}, v1, 8)
		want := []*schemas.JournalStep{
			{WholeNext: v1, First: 10, Last: 15, Rejected: []int64{1, 4}},
			{WholeNext: v2, First: 16, Last: 17},
			{Input: 1, Last: 4},
			{WakeMs: 100, Woken: 3},
			{Input: 1, First: 5, Last: 5},
		}
		got, n := written(t, r)
		if n != 1 || !slices.EqualFunc(got, want, func(a, b *schemas.JournalStep) bool { return a.String() == b.String() }) {
			t.Errorf("%d records: %v", n, got)
		}
	}
	if out, err := r.Append(nil); len(out) != 0 || err != nil {
		t.Errorf("an empty transaction wrote %d records, %v", len(out), err)
	}
}

// control is a record that holds nothing.
func control(offset int64) *kgo.Record {
	return &kgo.Record{Offset: offset, Attrs: kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Control: true})}
}

func TestLongTransactionHasSeveralRecords(t *testing.T) {
	r := recorder()
	const steps = 30_000
	for i := range int64(steps) {
		r.Batch(int(i%2), batch(i, i), nil, 7)
		if i%3 == 0 {
			r.Rejected(i)
		}
	}
	got, n := written(t, r)
	if n < 2 || len(got) != steps {
		t.Fatalf("%d steps in %d records", len(got), n)
	}
	for i, s := range got {
		if s.First != int64(i) || s.Last != int64(i) || s.Input != int32(i%2) || (len(s.Rejected) == 1) != (i%3 == 0) {
			t.Fatalf("step %d: %v", i, s)
		}
	}
}

func TestTransactionCostsOneAllocation(t *testing.T) {
	r, recs, whole := recorder(), batch(0, 99), []int64{4}
	out := make([]kgo.Record, 0, 1)
	n := testing.AllocsPerRun(100, func() {
		for i := range 4 {
			r.Batch(i%2, recs, whole, 7)
		}
		r.Woken(5, 2, nil, whole, 7)
		if _, err := r.Append(out); err != nil {
			t.Error(err)
		}
		r.Reset()
	})
	if n > 1 {
		t.Errorf("%v allocations a transaction", n)
	}
}

func TestNoJournalNotesNothing(t *testing.T) {
	r := NewRecorder(&processors.Def{}, nil, "j", 0, "v1")
	r.Batch(0, batch(0, 1), nil, 0)
	r.Rejected(1)
	r.Woken(1, 1, nil, nil, 0)
	r.Reset()
	if out, err := r.Append(nil); r != nil || len(out) != 0 || err != nil {
		t.Errorf("%v, %d records, %v", r, len(out), err)
	}
}

func TestJournalIsKeptAsLongAsTheInputKeptLongest(t *testing.T) {
	keep := func(all ...time.Duration) time.Duration {
		var in []*topics.Spec
		for _, d := range all {
			in = append(in, &topics.Spec{Retention: d})
		}
		return Retention(in)
	}
	if d := keep(time.Hour, 3*time.Hour); d != 3*time.Hour {
		t.Error(d)
	}
	if d := keep(time.Hour, topics.Forever); d != topics.Forever {
		t.Error(d)
	}
	if d := keep(time.Hour, 0); d != 0 {
		t.Error(d)
	}
}

func TestAgendaKeepsTheOrderOfTimeThenKey(t *testing.T) {
	a := agenda{now: map[string]int64{}}
	a.set("b", 5)
	a.set("a", 5)
	a.set("c", 9)
	a.set("c", 1) // moved
	a.set("d", 2)
	a.set("d", 0) // taken back
	a.set("e", 3)
	a.set("e", 0)
	a.set("e", 3) // and again
	var got []string
	for {
		key, ok := a.pop(5)
		if !ok {
			break
		}
		got = append(got, key)
	}
	if !slices.Equal(got, []string{"c", "e", "a", "b"}) {
		t.Error(got)
	}
	a.set("f", 6)
	if _, ok := a.pop(5); ok {
		t.Error("too early")
	}
}
