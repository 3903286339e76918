package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
)

// live makes some history: records of two inputs, whole topics that change, restarts, two instances,
// aborts, other intervals.
func (w *world) live(def *processors.Def, rounds int) (aborts int64) {
	for range rounds {
		interval := time.Duration(1+w.rng.IntN(40)) * time.Millisecond
		stops := []func(){}
		for i := range 1 + w.rng.IntN(2) {
			stop := w.run(def, fmt.Sprint("i", i), interval)
			stops = append(stops, func() { aborts += stop().Aborts })
		}
		for range 1 + w.rng.IntN(4) {
			w.turnFactor()
			w.send(1 + w.rng.IntN(200))
			if w.rng.IntN(2) == 0 {
				w.untilCommitted(w.sent)
			}
			w.abortOnce()
		}
		if w.rng.IntN(2) == 0 {
			w.untilCommitted(w.sent)
		}
		for _, stop := range stops {
			stop()
		}
	}
	stop := w.run(def, "i0", 5*time.Millisecond)
	w.untilCommitted(w.sent)
	stop()
	return aborts
}

// abortOnce makes the brokers refuse something soon.
func (w *world) abortOnce() {
	faults := []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.Produce}, Topic: "dwell.soup-table", Err: kerr.UnknownServerError, Count: 1},
		{Keys: []kmsg.Key{kmsg.Produce}, Topic: "dwell.soup-journal", Err: kerr.UnknownServerError, Count: 1},
		{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: 1},
	}
	if i := w.rng.IntN(2 * len(faults)); i < len(faults) {
		w.fake.Fault(faults[i])
	}
}

func TestReplayFindsNoDifferenceWhateverHappened(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			def := w.define(true, true)
			if aborts := w.live(def, 4); aborts == 0 {
				t.Error("nothing was aborted")
			}
			r := w.replay(def, journal.All)
			t.Logf("%+v", r)
			if r.Differences != 0 {
				t.Fatalf("%d differences, first %v", r.Differences, r.First)
			}
			if r.Records != w.sent || r.Transactions == 0 || r.Wakes == 0 || r.Rejected == 0 || r.RejectedWakes == 0 || r.Rows == 0 || r.Outputs == 0 {
				t.Errorf("something was not replayed: %d sent, %+v", w.sent, r)
			}
			parts := journal.Report{}
			for n := range int32(3) {
				one := w.replay(def, n)
				if one.Differences != 0 {
					t.Errorf("partition %d: %v", n, one.First)
				}
				parts.Records, parts.Rows, parts.Transactions = parts.Records+one.Records, parts.Rows+one.Rows, parts.Transactions+one.Transactions
			}
			if parts.Records != r.Records || parts.Rows != r.Rows || parts.Transactions != r.Transactions {
				t.Errorf("partition by partition: %+v, want %+v", parts, r)
			}
			w.drift.Add(1)
			if r := w.replay(def, 1); r.Differences == 0 || r.First == nil {
				t.Errorf("partition 1: a step that reads what changes was not found: %+v", r)
			}
			if r := w.replay(def, journal.All); r.Differences == 0 || r.First == nil || r.First.At.Topic == "" {
				t.Errorf("a step that reads what changes was not found: %+v", r)
			}
		})
	}
}

func TestReplayWhileTheGroupRuns(t *testing.T) {
	w := newWorld(t, 11)
	def := w.define(true, false)
	stop := w.run(def, "i0", 3*time.Millisecond)
	w.send(100)
	w.untilCommitted(w.sent)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			rec := &kgo.Record{Topic: w.left.Name, Key: fmt.Appendf(nil, "acme/u%d", i%40), Value: fmt.Appendf(nil, `{"Do":"emit","N":%d}`, i)}
			if err := w.cl.ProduceSync(ctx, rec).FirstErr(); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	}()
	for range 5 {
		if r := w.replay(def, journal.All); r.Differences != 0 {
			t.Errorf("%d differences, first %v", r.Differences, r.First)
		}
	}
	cancel()
	<-done
	stop()
}

func TestOneRecordPerTransactionAndPartition(t *testing.T) {
	w := newWorld(t, 12)
	def := w.define(true, false)
	w.send(5000)
	stop := w.run(def, "i0", 50*time.Millisecond)
	w.untilCommitted(w.sent)
	s := stop()
	r := w.replay(def, journal.All)
	if r.Transactions > 3*s.Commits || r.Differences != 0 {
		t.Errorf("%d transactions of partitions in %d commits; %d differences", r.Transactions, s.Commits, r.Differences)
	}
	sum := int64(0)
	for n, o := range w.ends("dwell.soup-journal") {
		t.Logf("partition %d: %d offsets", n, o)
		sum += o
	}
	if sum > 6*s.Commits { // each has a commit marker
		t.Errorf("%d offsets in the journal for %d commits", sum, s.Commits)
	}
}

func (w *world) ends(topic string) map[int32]int64 {
	w.t.Helper()
	l, err := w.adm.ListEndOffsets(w.t.Context(), topic)
	if err = errors.Join(err, l.Error()); err != nil {
		w.t.Fatal(err)
	}
	m := map[int32]int64{}
	l.Each(func(o kadm.ListedOffset) { m[o.Partition] = o.Offset })
	return m
}

// forge writes as the group's instance would, in a transaction of its own.
func (w *world) forge(rec *kgo.Record) {
	w.t.Helper()
	cl, err := w.cfg.NewClient("forger", kgo.TransactionalID("dwell.soup-i0"), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	err = cl.BeginTransaction()
	if err == nil {
		err = cl.ProduceSync(w.t.Context(), rec).FirstErr()
	}
	if err = errors.Join(err, cl.EndTransaction(w.t.Context(), kgo.TryCommit)); err != nil {
		w.t.Fatal(err)
	}
}

func TestForgedOutputAndRowAreFoundWithTheirCoordinates(t *testing.T) {
	for _, c := range []struct{ topic, value, what string }{
		{"out", "1", "this is one more"},
		{"out", "2", "this is one more"},
		{"dwell.soup-table", "x", "the table has 1 bytes"},
	} {
		w := newWorld(t, 13)
		def := w.define(true, false)
		stop := w.run(def, "i0", 5*time.Millisecond)
		w.produce(&kgo.Record{Topic: w.left.Name, Key: []byte("acme/u1"), Value: []byte(`{"Do":"emit","N":1}`)})
		w.untilCommitted(1)
		stop()
		w.forge(&kgo.Record{Topic: c.topic, Key: []byte("acme/u1"), Value: []byte(c.value)})
		r := w.replay(def, journal.All)
		if r.Differences != 1 || r.First.At.Topic != c.topic || r.First.Key != "acme/u1" || !strings.Contains(r.First.What, c.what) {
			t.Errorf("%+v, first %v", r, r.First)
		}
	}
}

// Another program's outputs for the same users are none of ours.
func TestForeignOutputsAreLeftAlone(t *testing.T) {
	w := newWorld(t, 14)
	def := w.define(true, false)
	stop := w.run(def, "i0", 5*time.Millisecond)
	w.send(50)
	w.untilCommitted(w.sent)
	stop()
	w.produce(&kgo.Record{Topic: "out", Key: []byte("acme/u1"), Value: []byte("1")})
	if r := w.replay(def, journal.All); r.Differences != 0 {
		t.Errorf("%v", r.First)
	}
}

func TestGoneInputsAndMissingJournalAreNamed(t *testing.T) {
	gone := func(t *testing.T, w *world, def *processors.Def, what string) {
		t.Helper()
		_, err := journal.Replay(t.Context(), w.cfg, def, journal.All)
		if !errors.Is(err, journal.ErrGone) || !strings.Contains(err.Error(), what) {
			t.Errorf("Replay: %v, want %s", err, what)
		}
	}
	t.Run("retention", func(t *testing.T) {
		w := newWorld(t, 15)
		def := w.define(true, false)
		stop := w.run(def, "i0", 5*time.Millisecond)
		w.send(100)
		w.untilCommitted(w.sent)
		stop()
		o := kadm.Offsets{}
		o.Add(kadm.Offset{Topic: "left", Partition: 1, At: 5})
		if _, err := w.adm.DeleteRecords(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		gone(t, w, def, "left/1, which has 5")
	})
	t.Run("later journal", func(t *testing.T) {
		w := newWorld(t, 16)
		stop := w.run(w.define(false, false), "i0", 5*time.Millisecond)
		w.send(100)
		w.untilCommitted(w.sent)
		stop()
		def := w.define(true, false)
		gone(t, w, w.define(false, false), "no journal")
		stop = w.run(def, "i0", 5*time.Millisecond)
		w.send(100)
		w.untilCommitted(w.sent)
		stop()
		gone(t, w, def, "before there was a journal")
	})
}

func TestEmptyJournalIsNoDifference(t *testing.T) {
	w := newWorld(t, 17)
	def := w.define(true, false)
	stop := w.run(def, "i0", 5*time.Millisecond)
	w.until("the journal is there", func() bool {
		found, err := w.adm.ListTopics(t.Context(), "dwell.soup-journal", "dwell.soup-table")
		return err == nil && found.Has("dwell.soup-journal") && found.Has("dwell.soup-table")
	})
	stop()
	if r := w.replay(def, journal.All); r.Differences != 0 || r.Transactions != 0 {
		t.Errorf("%+v", r)
	}
}
