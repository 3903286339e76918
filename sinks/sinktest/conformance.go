// Package sinktest says what every sink must do, as tests: Run puts any sinks.Sink through them. It
// also has a sink in memory that keeps the contract and can be made to fail.
package sinktest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dwellhq/dwell/sinks"
)

// Harness is a fresh, empty sink and what its test needs to know.
type Harness struct {
	Pipeline, Topic string
	Sink            sinks.Sink
	// Record is the nth record, the same on each call; each n is another one. Its offset is n.
	Record func(n int) sinks.Record
	// Poison cannot be decoded. Its offset is set by the suite.
	Poison sinks.Record
	// Counts is how many rows each table and view says it holds. All must agree.
	Counts func(tb testing.TB) map[string]int
	// Break lets an attempt fail after a part of it landed, Mend ends that. Both nil: not possible.
	Break, Mend func(tb testing.TB)
	// Uncancelled says why attempts cannot be cut off here; empty: they can.
	Uncancelled string
}

// Run tests a sink; fresh makes an empty one for each test.
func Run(t *testing.T, fresh func(t *testing.T) Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"CheckAccepts":                  checkAccepts,
		"SameBatchThriceLandsOnce":      thrice,
		"DifferentRangesAdd":            rangesAdd,
		"SameRowsInAnotherRangeAdd":     sameRows,
		"PipelinesAndTopicsDoNotMix":    noMix,
		"PoisonIsLeftOut":               poison,
		"PartitionsAreWrittenTogether":  together,
		"ZombieAndOwnerLandOnce":        zombie,
		"RetryFillsWhatAFailureLeft":    retry,
		"CancelledAttemptIsCompleted":   cancelled,
		"LedgerRemembersWhereItEnded":   ledger,
		"HugeAndTinyBatchesAreTheSame":  sizes,
		"DecodeGivesTheSameRowsForever": decodeTwice,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// batch decodes records first to last (both included) into a batch of a partition.
func (h Harness) batch(t *testing.T, partition int32, first, last int) sinks.Batch {
	t.Helper()
	b := sinks.Batch{
		Pipeline: h.Pipeline, Topic: h.Topic, Partition: partition, First: int64(first), Last: int64(last),
		TopicID: [16]byte{15: 7},
	}
	for n := first; n <= last; n++ {
		rows, err := h.Sink.Decode(h.Record(n))
		if err != nil {
			t.Fatalf("decode record %d: %v", n, err)
		}
		b.Rows = append(b.Rows, rows)
	}
	return b
}

func (h Harness) write(t *testing.T, b sinks.Batch) {
	t.Helper()
	if err := h.Sink.Write(t.Context(), b); err != nil {
		t.Fatalf("write %s: %v", b.Token("-"), err)
	}
}

func (h Harness) want(t *testing.T, want int) {
	t.Helper()
	got := h.Counts(t)
	if len(got) == 0 {
		t.Fatal("the harness counts nothing")
	}
	for where, n := range got {
		if n != want {
			t.Errorf("%s holds %d rows, want %d", where, n, want)
		}
	}
}

func checkAccepts(t *testing.T, h Harness) {
	if err := h.Sink.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
}

func thrice(t *testing.T, h Harness) {
	b := h.batch(t, 0, 0, 9)
	h.write(t, b)
	h.write(t, b)
	b.Replay = true
	h.write(t, b)
	h.want(t, b.Len())
}

func rangesAdd(t *testing.T, h Harness) {
	a, b := h.batch(t, 0, 0, 4), h.batch(t, 0, 5, 9)
	h.write(t, a)
	h.write(t, b)
	h.write(t, a)
	h.want(t, a.Len()+b.Len())
}

// sameRows: a store that tells batches apart by their content would lose the second one. Only the
// token may decide; a store keyed by row cannot be asked this.
func sameRows(t *testing.T, h Harness) {
	a := h.batch(t, 0, 0, 4)
	b := a
	b.First, b.Last, b.Partition = 100, 104, 1
	h.write(t, a)
	h.write(t, b)
	for where, n := range h.Counts(t) {
		if n != a.Len() && n != 2*a.Len() {
			t.Errorf("%s holds %d rows, want %d, or %d where rows have keys", where, n, 2*a.Len(), a.Len())
		}
	}
}

func noMix(t *testing.T, h Harness) {
	a, b := h.batch(t, 0, 0, 4), h.batch(t, 0, 5, 9)
	// The same offsets and partition, yet of a topic that was made anew.
	b.First, b.Last, b.TopicID = a.First, a.Last, [16]byte{1}
	h.write(t, a)
	h.write(t, b)
	h.want(t, a.Len()+b.Len())
}

func poison(t *testing.T, h Harness) {
	h.Poison.Offset = 5
	rows, err := h.Sink.Decode(h.Poison)
	if !errors.Is(err, sinks.ErrPoison) || rows != nil {
		t.Fatalf("decode of poison = %v, %v, want ErrPoison", rows, err)
	}
	a := h.batch(t, 0, 0, 4)
	a.Last = 5
	h.write(t, a)
	h.write(t, a)
	h.want(t, a.Len())
}

func together(t *testing.T, h Harness) {
	const partitions, ranges = 4, 5
	var all [partitions][]sinks.Batch
	want := 0
	for p := range partitions {
		for r := range ranges {
			at := (p*ranges + r) * 10
			b := h.batch(t, int32(p), at, at+9)
			all[p] = append(all[p], b)
			want += b.Len()
		}
	}
	var wg sync.WaitGroup
	for p := range all {
		wg.Go(func() {
			for _, b := range all[p] {
				if err := h.Sink.Write(t.Context(), b); err != nil {
					t.Errorf("write %s: %v", b.Token("-"), err)
				}
			}
		})
	}
	wg.Wait()
	h.want(t, want)
}

func zombie(t *testing.T, h Harness) {
	b := h.batch(t, 0, 0, 9)
	var wg sync.WaitGroup
	for i := range 4 {
		mine := b
		mine.Replay = i > 0
		wg.Go(func() {
			if err := h.Sink.Write(t.Context(), mine); err != nil && !errors.Is(err, sinks.ErrRetry) {
				t.Errorf("write: %v", err)
			}
		})
	}
	wg.Wait()
	h.write(t, b)
	h.want(t, b.Len())
}

func retry(t *testing.T, h Harness) {
	if h.Break == nil {
		t.Skip("this sink cannot be broken")
	}
	b := h.batch(t, 0, 0, 9)
	h.Break(t)
	if err := h.Sink.Write(t.Context(), b); err == nil {
		t.Error("a broken sink acknowledged a batch")
	}
	h.Mend(t)
	b.Replay = true
	h.write(t, b)
	h.write(t, b)
	h.want(t, b.Len())
}

func cancelled(t *testing.T, h Harness) {
	if h.Uncancelled != "" {
		t.Skip(h.Uncancelled)
	}
	b := h.batch(t, 0, 0, 9)
	for wait := time.Duration(0); wait < 8*time.Millisecond; wait += time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		if err := h.Sink.Write(ctx, b); err != nil && !errors.Is(err, sinks.ErrRetry) && ctx.Err() == nil {
			t.Errorf("write: %v", err)
		}
		cancel()
	}
	b.Replay = true
	h.write(t, b)
	h.want(t, b.Len())
}

func ledger(t *testing.T, h Harness) {
	l, ok := h.Sink.(sinks.Ledger)
	if !ok {
		t.Skip("this sink keeps no ledger")
	}
	landed := func(b sinks.Batch, want int64) {
		t.Helper()
		if got, err := l.Landed(t.Context(), b); err != nil || got != want {
			t.Errorf("landed = %d, %v, want %d", got, err, want)
		}
	}
	a, b, other := h.batch(t, 0, 0, 4), h.batch(t, 0, 5, 9), h.batch(t, 1, 10, 14)
	landed(a, 0)
	h.write(t, a)
	h.write(t, b)
	landed(a, 10)
	landed(other, 0)
}

func sizes(t *testing.T, h Harness) {
	one, many := h.batch(t, 0, 0, 0), h.batch(t, 0, 1, 2000)
	for range 2 {
		h.write(t, one)
		h.write(t, many)
	}
	h.want(t, one.Len()+many.Len())
}

func decodeTwice(t *testing.T, h Harness) {
	a, b := h.batch(t, 0, 0, 9), h.batch(t, 0, 0, 9)
	if a.Len() != b.Len() || a.SealedAt() != b.SealedAt() || a.SealedAt().IsZero() {
		t.Errorf("decoded twice: %d rows received at %s, then %d at %s", a.Len(), a.SealedAt(), b.Len(), b.SealedAt())
	}
	h.write(t, a)
	h.write(t, b)
	h.want(t, a.Len())
}
