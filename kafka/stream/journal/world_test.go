package journal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const patience = 60 * time.Second

// world is a fake cluster with one processor's topics.
type world struct {
	t     *testing.T
	fake  *kafkatest.Cluster
	cfg   kafka.Config
	cl    *kgo.Client
	adm   *kadm.Client
	left  topics.Topic[order]
	right topics.Topic[order]
	out   topics.Topic[uint64]
	facts topics.Blocks
	whole *processors.Whole[uint64, uint64]
	// drift is what no step may read.
	drift atomic.Uint64
	sent  int64
	ms    int64
	rng   *rand.Rand
}

// order is an event: what to do.
type order struct {
	Do string
	N  uint64
}

// memory is a row.
type memory struct {
	N, Woken int
	Hash     uint64
	Load     []byte `json:",omitempty"`
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, fake: kafkatest.Start(t), cfg: kafka.DefaultConfig(), rng: rand.New(rand.NewPCG(seed, 7)), ms: time.Now().Add(-time.Hour).UnixMilli()}
	w.cfg.Brokers, w.cfg.Partitions = w.fake.ListenAddrs(), 3
	var err error
	if w.cl, err = w.cfg.NewClient("test", kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	w.adm = kadm.NewClient(w.cl)
	w.left, w.right, w.out = topics.Stream[order]("left"), topics.Stream[order]("right"), topics.Stream[uint64]("out")
	w.facts = topics.Blocks{Spec: &topics.Spec{Name: "facts", Pack: topics.Facts.Pack}}
	factor := topics.Of(topics.Spec{Name: "factor", Partitions: 1, Compact: true}, schemas.Codec[uint64](schemas.JSON[uint64]{}))
	w.whole = &processors.Whole[uint64, uint64]{Topic: factor, Fold: func(view uint64, _ string, rec uint64, deleted bool) uint64 {
		if deleted {
			return 0
		}
		return view*3 + rec
	}}
	if err := kafka.Ensure(t.Context(), w.cfg, w.left.Spec, w.right.Spec, w.out.Spec, w.facts.Spec, factor.Spec, topics.Actions.Spec, topics.DeadLetters.Spec); err != nil {
		t.Fatal(err)
	}
	return w
}

// define declares the processor; drifting makes its steps read what they must not.
func (w *world) define(journal, drifting bool) *processors.Def {
	step := func(input uint64) func(*processors.Turn[memory], order) {
		return func(t *processors.Turn[memory], o order) {
			if o.Do == "same" {
				t.Same()
				return
			}
			s := t.State
			s.N++
			s.Hash = s.Hash*31 + o.N + input<<40 + processors.Look(t, w.whole)<<20 + uint64(t.Now.UnixMilli())
			if drifting {
				s.Hash += w.drift.Load()
			}
			w.do(t, o)
		}
	}
	return processors.Define(processors.Processor[memory]{
		Name: "soup", Journal: journal, MaxRowBytes: 400, Whole: []processors.AnyWhole{w.whole},
		Inputs:  []processors.Input[memory]{processors.On(w.left, step(1)), processors.On(w.right, step(2))},
		Outputs: []*topics.Spec{w.out.Spec, w.facts.Spec},
		Wake: func(t *processors.Turn[memory]) {
			s := t.State
			s.Woken++
			s.Load = append(s.Load, make([]byte, s.Hash%100)...) // too far, now and then
			s.Hash = s.Hash*17 + uint64(t.Now.UnixMilli()) + processors.Look(t, w.whole)
			switch s.Hash % 5 {
			case 0:
				t.Forget()
			case 1, 2, 3:
				t.WakeAt(t.Now.Add(time.Duration(s.Hash%900) * time.Millisecond))
			}
			processors.Emit(t, w.out, t.Key, s.Hash)
			if s.Hash%11 == 0 {
				panic("a wake's")
			}
		},
	})
}

func (w *world) do(t *processors.Turn[memory], o order) {
	s := t.State
	switch o.Do {
	case "emit":
		processors.Emit(t, w.out, t.Key, s.Hash)
	case "else": // several partitions emit with one key
		processors.Emit(t, w.out, fmt.Sprint("shared/", o.N%3), s.Hash)
	case "arm":
		t.WakeAt(t.Now.Add(time.Duration(o.N%3000) * time.Millisecond))
	case "forget":
		t.Forget()
	case "boom":
		s.Hash = 0
		processors.Emit(t, w.out, t.Key, 13)
		panic("as asked")
	case "grow":
		s.Load = append(s.Load, make([]byte, o.N%150)...)
	case "shrink":
		s.Load = nil
	case "fact":
		for i := range o.N % 4 {
			processors.EmitFact(t, w.facts, &schemas.Fact{EventID: fmt.Sprint(s.Hash, i), User: t.Key, N: 1, TimeMS: t.Now.UnixMilli(), At: t.At})
		}
	case "act":
		t.Act("hello", "popup")
	}
}

var deeds = []string{"emit", "emit", "else", "arm", "arm", "arm", "forget", "grow", "grow", "shrink", "fact", "fact", "act", "same", "note", "note"}

// send sends n random records to both inputs, a bad one among them now and then.
func (w *world) send(n int) {
	w.t.Helper()
	var recs []*kgo.Record
	for range n {
		o := order{deeds[w.rng.IntN(len(deeds))], w.rng.Uint64N(10_000)}
		if w.rng.IntN(80) == 0 {
			o.Do = "boom"
		}
		value, err := json.Marshal(o)
		if err != nil {
			w.t.Fatal(err)
		}
		w.ms += w.rng.Int64N(200)
		rec := &kgo.Record{Topic: w.left.Name, Key: fmt.Appendf(nil, "acme/u%d", w.rng.IntN(40)), Value: value, Timestamp: time.UnixMilli(w.ms)}
		if w.rng.IntN(3) == 0 {
			rec.Topic = w.right.Name
		}
		switch w.rng.IntN(100) {
		case 0:
			rec.Value = []byte("{")
		case 1:
			rec.Key = nil
		case 2:
			rec.Value = nil
		}
		recs = append(recs, rec)
	}
	w.produce(recs...)
	w.sent += int64(n)
}

// turnFactor changes the whole topic.
func (w *world) turnFactor() {
	w.t.Helper()
	rec := &kgo.Record{Topic: "factor", Key: []byte("f"), Value: fmt.Appendf(nil, "%d", w.rng.IntN(100))}
	switch w.rng.IntN(6) {
	case 0:
		rec.Value = []byte("no number")
	case 1:
		rec.Value = nil
	}
	w.produce(rec)
}

func (w *world) produce(recs ...*kgo.Record) {
	w.t.Helper()
	if err := w.cl.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) committed() (sum int64) {
	o, err := w.adm.FetchOffsets(context.Background(), "dwell.soup")
	if err != nil {
		return -1
	}
	o.Each(func(r kadm.OffsetResponse) { sum += max(r.At, 0) })
	return sum
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

func (w *world) untilCommitted(n int64) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d records committed", n), func() bool { return w.committed() >= n })
}

// run starts an instance; stop ends it.
func (w *world) run(def *processors.Def, instance string, interval time.Duration) (stop func() stream.Status) {
	w.t.Helper()
	cfg := stream.DefaultConfig()
	cfg.Kafka, cfg.InstanceID, cfg.Interval, cfg.SessionTimeout = w.cfg, instance, interval, 6*time.Second
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.DeadLetters.Percent = 0 // many are bad on purpose
	cfg.CacheBytes = 1 << 20
	p, err := stream.New(cfg, def)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	over := false
	stop = func() stream.Status {
		if over {
			return p.Status()
		}
		over = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			w.t.Error("Run does not end")
		}
		return p.Status()
	}
	w.t.Cleanup(func() { stop() })
	return stop
}

func (w *world) replay(def *processors.Def, only int32) journal.Report {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r, err := journal.Replay(ctx, w.cfg, def, only)
	if err != nil {
		w.t.Fatalf("replay: %v", err)
	}
	return r
}
