package stream

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func (r *running) owned() int { return len(r.Status().Partitions) }

func TestTwoInstancesShareAndTakeOver(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	const users, part = 50, 1000
	a := w.run(w.config("a"), def)
	a.untilReady()
	w.sendNumbers(in, 0, part, users)
	b := w.run(w.config("b"), def)
	until(t, "the instances share", func() bool { return a.Ready() && b.Ready() && a.owned() == 2 && b.owned() == 2 })
	w.sendNumbers(in, part, 2*part, users)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 2*part })
	start := time.Now()
	a.stop()
	until(t, "b takes over", func() bool { return b.Ready() && b.owned() == 4 })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("taking over took %v", took)
	}
	w.sendNumbers(in, 2*part, 3*part, users)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 3*part })
	b.stop()
	w.checkCounts(def, out, 3*part, users)
}

func TestMoreInstancesThanPartitionsAreReady(t *testing.T) {
	w := newWorld(t, brokers(t))
	w.cfg.Partitions = 1
	def, in, out := w.counting()
	a, b := w.run(w.config("a"), def), w.run(w.config("b"), def)
	until(t, "both are ready", func() bool { return a.Ready() && b.Ready() && a.owned()+b.owned() == 1 })
	w.sendNumbers(in, 0, 100, 10)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 100 })
	a.stop()
	b.stop()
	w.checkCounts(def, out, 100, 10)
}

func TestTwoProcessesWithTheSameIDDoNotBothGoOn(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	a := w.run(w.config("same"), def)
	a.untilReady()
	w.sendNumbers(in, 0, 500, 20)
	b := w.run(w.config("same"), def)
	until(t, "one is shut out", func() bool {
		select {
		case <-a.done:
			return true
		case <-b.done:
			a, b = b, a
			return true
		default:
			return false
		}
	})
	if err := a.wait(); err == nil || !strings.Contains(err.Error(), "another process runs with instance id \"same\"") {
		t.Fatalf("it ended with %v", err)
	}
	b.untilReady()
	w.sendNumbers(in, 500, 1000, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 1000 })
	b.stop()
	w.checkCounts(def, out, 1000, 20)
}

// Whoever takes the transactional id over makes the client unusable; another one goes on.
func TestDeadSessionIsMadeAnew(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	r := w.run(w.config("a"), def)
	r.untilReady()
	for round := range 3 {
		w.sendNumbers(in, round*500, (round+1)*500, 20)
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64(round+1)*500 })
		cl, err := w.cfg.NewClient("thief", kgo.TransactionalID(r.transactionalID()))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := cl.ProducerID(t.Context()); err != nil {
			t.Fatal(err)
		}
		cl.Close()
	}
	w.sendNumbers(in, 1500, 2000, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 2000 })
	r.stop()
	w.checkCounts(def, out, 2000, 20)
}

func TestRefusedSessionTimeoutIsAnError(t *testing.T) {
	if brokers(t).fake == nil {
		t.Skip("the cluster's minimum is not known")
	}
	w := newWorld(t, inProcess(t, kfake.GroupMinSessionTimeout(6*time.Second)))
	def, _, _ := w.counting()
	cfg := w.config("a")
	cfg.SessionTimeout = 2 * time.Second
	if err := w.run(cfg, def).wait(); err == nil || !strings.Contains(err.Error(), "session timeout of 2s") {
		t.Fatalf("Run: %v", err)
	}
}

func TestMissingAndUnequalTopicsAreNamed(t *testing.T) {
	w := newWorld(t, brokers(t))
	in, odd, out := numbers(w.name("in")), numbers(w.name("odd")), numbers(w.name("missing"))
	blocks := topics.Blocks{Spec: &topics.Spec{Name: w.name("blocks"), Partitions: 2, Pack: topics.Facts.Pack}}
	w.ensure(in.Spec, &topics.Spec{Name: odd.Name, Partitions: 3}, blocks.Spec)
	nothing := func(*processors.Turn[tally], uint64) {}
	def := processors.Define(processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{}, Outputs: []*topics.Spec{out.Spec, blocks.Spec},
		Inputs: []processors.Input[tally]{processors.On(in, nothing), processors.On(odd, nothing)},
	})
	err := w.run(w.config("a"), def).wait()
	if err == nil {
		t.Fatal("Run succeeded")
	}
	for _, part := range []string{out.Name + " does not exist", odd.Name + " has 3 partitions", blocks.Name + " has 2 partitions"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	def := counting("x", numbers("in"), numbers("out"))
	_, err := New(Config{SessionTimeout: time.Millisecond, Interval: time.Hour, CacheBytes: 1}, def)
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, part := range []string{"brokers", "partitions", "instance id", "session timeout", "interval", "cache"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %s: %v", part, err)
		}
	}
}

func TestFactsLieInThePartitionTheyCameFrom(t *testing.T) {
	w := newWorld(t, brokers(t))
	in := numbers(w.name("in"))
	facts := topics.Blocks{Spec: &topics.Spec{Name: w.name("facts"), Pack: topics.Facts.Pack}}
	w.ensure(in.Spec, facts.Spec)
	def := processors.Define(processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{}, Outputs: []*topics.Spec{facts.Spec},
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) {
			t.State.N++
			processors.EmitFact(t, facts, &schemas.Fact{EventID: processors.DeriveID(t.Key, string(rune(v))), User: t.Key, N: 1, TimeMS: int64(v), At: t.At})
		})},
	})
	const n = 5000
	r := w.run(w.config("a"), def)
	w.sendNumbers(in, 0, n, 100)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == n })
	r.stop()

	seen := map[int64]int{}
	records := w.read(facts.Name)
	for _, rec := range records {
		b, err := schemas.FactBlocks{}.Unpack(rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		last := map[string]int64{}
		for i := range b.Len() {
			f := b.Fact(i)
			if f.At.Partition != rec.Partition {
				t.Fatalf("a fact of %v lies in partition %d", f.At, rec.Partition)
			}
			if f.TimeMS < last[f.User] {
				t.Fatalf("%s: fact %d after %d", f.User, f.TimeMS, last[f.User])
			}
			last[f.User] = f.TimeMS
			seen[f.TimeMS]++
		}
	}
	for i := range int64(n) {
		if seen[i] != 1 {
			t.Fatalf("fact %d came %d times", i, seen[i])
		}
	}
	if len(records) > n/10 {
		t.Errorf("%d records for %d facts: they were not packed", len(records), n)
	}
}

// A row lives where its input's records lie, even if their producer partitions in its own way.
func TestRowsFollowTheirRecordsPartition(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, _ := w.counting()
	cl, err := w.cfg.NewClient("odd", kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for p := range int32(4) {
		for range 3 {
			rec := numberRecord(in.Name, "acme/ann", 1)
			rec.Partition = p
			if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for round := range 2 { // the second finds the rows again
		r := w.run(w.config("a"), def)
		r.untilReady()
		until(t, "committed", func() bool { return w.committed(def, in.Name) == 12 })
		r.stop()
		got := map[int32]uint64{}
		for _, rec := range w.read(r.shared.Topic) {
			row := &schemas.Row{}
			if err := row.UnmarshalVT(rec.Value); err != nil {
				t.Fatal(err)
			}
			c, err := tallyCodec{}.Decode(row.State)
			if err != nil {
				t.Fatal(err)
			}
			got[rec.Partition] = c.N
		}
		for p := range int32(4) {
			if got[p] != 3 {
				t.Errorf("round %d: partition %d counts %d, want 3", round, p, got[p])
			}
		}
	}
}

var words = topics.Of(topics.Spec{Name: "words", Partitions: 1, Compact: true}, schemas.Codec[uint64](number{}))

func TestWholeTopicIsInForceFromTheFirstRecordAndSwapsBetweenBatches(t *testing.T) {
	w := newWorld(t, brokers(t))
	in, out := numbers(w.name("in")), numbers(w.name("out"))
	spec := *words.Spec
	spec.Name = w.name("factors")
	factors := topics.Of(spec, words.Codec)
	w.ensure(in.Spec, out.Spec, factors.Spec)
	whole := &processors.Whole[uint64, uint64]{Topic: factors, Fold: func(_ uint64, key string, rec uint64, deleted bool) uint64 {
		if key == "panic" {
			panic("no fold")
		}
		if deleted {
			return 0
		}
		return rec
	}}
	def := processors.Define(processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{}, Outputs: []*topics.Spec{out.Spec}, Whole: []processors.AnyWhole{whole},
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) {
			processors.Emit(t, out, t.Key, v*processors.Look(t, whole))
		})},
	})
	w.send(numberRecord(factors.Name, "factor", 2), numberRecord(factors.Name, "factor", 3))
	w.send(&kgo.Record{Topic: factors.Name, Key: []byte("factor"), Value: []byte("no number")}, numberRecord(factors.Name, "panic", 9))
	w.send(numberRecord(in.Name, "acme/ann", 1)) // waits for the factor
	r := w.run(w.config("a"), def)
	last := func() uint64 {
		got := w.outputs(out)["acme/ann"]
		if len(got) == 0 {
			return 99
		}
		return got[len(got)-1]
	}
	until(t, "the first output", func() bool { return len(w.outputs(out)["acme/ann"]) == 1 })
	if got := last(); got != 3 {
		t.Fatalf("the first output is %d, want 3", got)
	}
	for n, factor := range []uint64{5, 0} {
		if factor == 0 {
			w.send(&kgo.Record{Topic: factors.Name, Key: []byte("factor")})
		} else {
			w.send(numberRecord(factors.Name, "factor", factor))
		}
		until(t, "the factor is in force", func() bool { return r.Status().Whole[factors.Name] == w.ends(factors.Name)[0] })
		w.send(numberRecord(in.Name, "acme/ann", 1))
		until(t, "the output", func() bool { return len(w.outputs(out)["acme/ann"]) == n+2 })
		if got := last(); got != factor {
			t.Fatalf("output %d, want %d", got, factor)
		}
	}
	r.stop()
}

func TestMetricsCountWhatHappened(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, _ := w.counting()
	reg := prometheus.NewRegistry()
	cfg := w.config("a")
	cfg.Registerer = reg
	for range 2 { // a second processor of that name takes the metrics over
		r := w.run(cfg, def)
		before := max(w.committed(def, in.Name), 0)
		w.sendNumbers(in, 0, 100, 10)
		until(t, "committed", func() bool { return w.committed(def, in.Name) == before+100 })
		r.stop()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			m := f.GetMetric()[0]
			if f.GetName() == "dwell_records_total" && (m.GetCounter().GetValue() != 100 || m.GetLabel()[0].GetValue() != def.Name) {
				t.Errorf("dwell_records_total = %v of %v", m.GetCounter().GetValue(), m.GetLabel())
			}
		}
		if len(families) < 8 {
			t.Errorf("%d metrics", len(families))
		}
	}
}

func TestRunEndsWhileTheBrokersAreAway(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, _, _ := w.counting()
	cfg := w.config("a")
	cfg.Kafka.Brokers = []string{"127.0.0.1:1"}
	p, err := New(cfg, def)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := p.Run(ctx); err == nil {
		t.Error("Run ran twice")
	}
}
