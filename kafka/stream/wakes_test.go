package stream

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/examples/cart"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// clock is set by hand.
type clock struct{ ms atomic.Int64 }

func at(t time.Time) *clock {
	c := &clock{}
	c.set(t)
	return c
}

func (c *clock) set(t time.Time) { c.ms.Store(t.UnixMilli()) }
func (c *clock) now() time.Time  { return time.UnixMilli(c.ms.Load()) }

// runAt runs a processor whose wall clock is c.
func (w *world) runAt(c *clock, cfg Config, def *processors.Def) *running {
	w.t.Helper()
	p, err := New(cfg, def)
	if err != nil {
		w.t.Fatal(err)
	}
	p.shared.Now = c.now
	return w.start(p)
}

// waiting wakes a row five minutes after a number, unless a zero comes first, and emits the number.
func (w *world) waiting(inputs ...string) (def *processors.Def, out topics.Topic[uint64]) {
	out = numbers(w.name("out"))
	w.ensure(out.Spec)
	p := processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{}, Outputs: []*topics.Spec{out.Spec},
		Wake: func(t *processors.Turn[tally]) { processors.Emit(t, out, t.Key, t.State.Sum) },
	}
	for _, name := range inputs {
		in := numbers(name)
		w.ensure(in.Spec)
		p.Inputs = append(p.Inputs, processors.On(in, func(t *processors.Turn[tally], v uint64) {
			t.State.N++
			t.State.Sum = v
			if v == 0 {
				t.WakeAt(time.Time{})
				return
			}
			t.WakeAt(t.Now.Add(5 * time.Minute))
		}))
	}
	return processors.Define(p), out
}

// outputs are the values per key.
func (w *world) outputs(out topics.Topic[uint64]) map[string][]uint64 {
	w.t.Helper()
	m := map[string][]uint64{}
	for _, r := range w.read(out.Name) {
		v, err := out.Codec.Decode(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		m[string(r.Key)] = append(m[string(r.Key)], v)
	}
	return m
}

func timed(topic, key string, v uint64, ts time.Time) *kgo.Record {
	r := numberRecord(topic, key, v)
	r.Timestamp = ts
	return r
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A worker is away for ten minutes. The cancellation waits in the backlog behind many records, and
// its deadline passed long ago: it must not fire.
func TestCancellationInTheBacklogPreventsTheWake(t *testing.T) {
	w := newWorld(t, brokers(t))
	in := w.name("in")
	def, out := w.waiting(in)
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	c := at(noon)
	r := w.runAt(c, cfg, def)
	w.send(timed(in, "acme/ann", 7, noon), timed(in, "acme/bob", 8, noon))
	until(t, "both read", func() bool { return w.committed(def, in) == 2 })
	r.stop()

	var backlog []*kgo.Record
	for i := range 20_000 {
		backlog = append(backlog, timed(in, "acme/busy-"+user(i%50), uint64(i+1), noon.Add(time.Minute)))
	}
	backlog = append(backlog, timed(in, "acme/ann", 0, noon.Add(4*time.Minute)))
	w.send(backlog...)
	c.set(noon.Add(10 * time.Minute))
	r = w.runAt(c, cfg, def)
	until(t, "bob is woken", func() bool { return r.Status().Wakes >= 51 })
	until(t, "the wakes are committed", func() bool { return len(w.outputs(out)) == 51 })
	r.stop()
	got := w.outputs(out)
	if len(got["acme/bob"]) != 1 || got["acme/bob"][0] != 8 {
		t.Errorf("bob: %v", got["acme/bob"])
	}
	if len(got["acme/ann"]) != 0 {
		t.Errorf("ann was woken: %v", got["acme/ann"])
	}
}

// Time goes by what is in the log, however the clock stands, while the log is not read to its end; and
// by the clock only once it is.
func TestDeadlinesFollowPartitionTime(t *testing.T) {
	w := newWorld(t, brokers(t))
	w.cfg.Partitions = 1
	in := w.name("in")
	def, out := w.waiting(in)
	c := at(noon)
	r := w.runAt(c, w.config("a"), def)
	w.send(timed(in, "acme/ann", 1, noon))
	until(t, "read", func() bool { return w.committed(def, in) == 1 })
	c.set(noon.Add(4*time.Minute + 59*time.Second))
	w.send(timed(in, "acme/bob", 2, noon.Add(4*time.Minute+59*time.Second)))
	until(t, "read", func() bool { return w.committed(def, in) == 2 })
	if n := len(w.outputs(out)); n != 0 {
		t.Fatalf("%d outputs before any deadline", n)
	}
	// A record's time moves everybody's, within a minute of the clock.
	c.set(noon.Add(5 * time.Minute))
	w.send(timed(in, "acme/cid", 3, noon.Add(5*time.Minute)))
	until(t, "ann is woken", func() bool { return len(w.outputs(out)["acme/ann"]) == 1 })
	// A forged time moves nobody's.
	w.send(timed(in, "acme/dan", 4, noon.Add(time.Hour)))
	until(t, "read", func() bool { return w.committed(def, in) == 4 })
	if got := w.outputs(out); len(got) != 1 {
		t.Fatalf("outputs: %v", got)
	}
	if n := r.shared.Count.Ahead.Load(); n != 1 {
		t.Errorf("%d records ahead", n)
	}
	// The clock does, when nothing more comes: a second late.
	c.set(noon.Add(10 * time.Minute))
	until(t, "bob is woken", func() bool { return len(w.outputs(out)["acme/bob"]) == 1 })
	if got := w.outputs(out); len(got) != 2 {
		t.Errorf("cid is early: %v", got)
	}
	c.set(noon.Add(10*time.Minute + 1100*time.Millisecond))
	until(t, "cid is woken", func() bool { return len(w.outputs(out)["acme/cid"]) == 1 })
	r.stop()
}

// The second input holds a cancellation that is older than what the first has told already.
func TestEveryInputHoldsTimeBack(t *testing.T) {
	w := newWorld(t, brokers(t))
	w.cfg.Partitions = 1
	events, answers := w.name("events"), w.name("answers")
	def, out := w.waiting(events, answers)
	c := at(noon)
	cfg := w.config("a")
	r := w.runAt(c, cfg, def)
	w.send(timed(events, "acme/ann", 1, noon), timed(events, "acme/bob", 2, noon))
	until(t, "read", func() bool { return w.committed(def, events) == 2 })
	r.stop()
	w.send(timed(answers, "acme/ann", 0, noon.Add(time.Minute)))
	w.send(timed(events, "acme/cid", 3, noon.Add(9*time.Minute)))
	c.set(noon.Add(10 * time.Minute))
	r = w.runAt(c, cfg, def)
	until(t, "bob is woken", func() bool { return len(w.outputs(out)["acme/bob"]) == 1 })
	r.stop()
	if got := w.outputs(out); len(got) != 1 {
		t.Errorf("outputs: %v", got)
	}
}

// A transaction of wakes alone is bound to the generation, and a wake that was aborted fires again.
func TestAbortedWakeFiresAgainOnce(t *testing.T) {
	where := fake(t)
	w := newWorld(t, where)
	in := w.name("in")
	def, out := w.waiting(in)
	c := at(noon)
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	r := w.runAt(c, cfg, def)
	var recs []*kgo.Record
	for i := range 100 {
		recs = append(recs, timed(in, user(i), uint64(i+1), noon))
	}
	w.send(recs...)
	until(t, "read", func() bool { return w.committed(def, in) == 100 })
	refused := where.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: out.Name, Err: kerr.UnknownServerError, Count: 2},
		kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: 1})
	pins := where.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Observe: true, Count: -1})
	c.set(noon.Add(time.Hour))
	until(t, "all are woken", func() bool { return len(w.outputs(out)) == 100 })
	r.stop()
	for key, got := range w.outputs(out) {
		if len(got) != 1 {
			t.Errorf("%s was woken %d times", key, len(got))
		}
	}
	if refused.Hits() < 3 || pins.Hits() == 0 {
		t.Errorf("%d faults met, %d offset commits", refused.Hits(), pins.Hits())
	}
	for key, row := range w.rows(def) {
		if got, err := (tallyCodec{}).Decode(row); err != nil || got.N != 1 {
			t.Errorf("row of %s: %v %v", key, got, err)
		}
	}
}

func TestDeadlinesOutliveARestart(t *testing.T) {
	w := newWorld(t, brokers(t))
	in := w.name("in")
	def, out := w.waiting(in)
	c := at(noon)
	for _, dir := range []string{t.TempDir(), ""} {
		key := "acme/ann" + dir
		cfg := w.config("a")
		cfg.Dir = dir
		r := w.runAt(c, cfg, def)
		before := w.committed(def, in)
		w.send(timed(in, key, 1, c.now()))
		until(t, "read", func() bool { return w.committed(def, in) == max(before, 0)+1 })
		r.stop()
		c.set(c.now().Add(time.Hour))
		r = w.runAt(c, cfg, def)
		until(t, "woken", func() bool { return len(w.outputs(out)[key]) == 1 })
		r.stop()
	}
}

// The example of the README, as it is.
func TestAbandonedCartIsNudgedOnce(t *testing.T) {
	w := newWorld(t, brokers(t))
	w.ensure(cart.Events.Spec)
	key := func(s string) string { return w.id + "/" + s }
	start := time.Now().Add(-2 * time.Hour)
	send := func(user, name string, after time.Duration) {
		b, err := cart.Events.Codec.Append(nil, cart.Event{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		w.send(&kgo.Record{Topic: cart.Events.Name, Key: []byte(key(user)), Value: b, Timestamp: start.Add(after)})
	}
	send("ann", "add", 0)
	send("bob", "add", 0)
	send("bob", "checkout", 59*time.Minute)
	r := w.run(w.config("a"), cart.Processor)
	nudged := func() (users []string) {
		for _, rec := range w.read(topics.Actions.Name) {
			a, err := topics.Actions.Codec.Decode(rec.Value)
			if err != nil {
				t.Fatal(err)
			}
			if a.Tenant == w.id && a.Campaign == "abandoned" {
				users = append(users, a.User)
			}
		}
		return users
	}
	until(t, "ann is nudged", func() bool { return len(nudged()) > 0 })
	r.stop()
	if got := nudged(); len(got) != 1 || got[0] != "ann" {
		t.Errorf("nudged: %v", got)
	}
	for k := range w.rows(cart.Processor) {
		if k == key("ann") || k == key("bob") {
			t.Errorf("the row of %s is still there", k)
		}
	}
}
