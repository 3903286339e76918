package stream

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka/stream/guarantee"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// refusing is a cluster whose brokers know no transactions.
func refusing(t *testing.T) site {
	t.Helper()
	at := fake(t)
	at.fake.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		at.fake.KeepControl()
		req := r.(*kmsg.InitProducerIDRequest)
		if req.TransactionalID == nil {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		return resp, nil, true
	})
	return at
}

func TestBrokersWithoutTransactionsAreAnErrorThatNamesTheSwitch(t *testing.T) {
	w := newWorld(t, refusing(t))
	def, in, _ := w.counting()
	w.sendNumbers(in, 0, 10, 2)
	err := w.run(w.config("a"), def).wait()
	if err == nil || !strings.Contains(err.Error(), "--guarantee at-least-once") || !strings.Contains(err.Error(), "DWELL_GUARANTEE") || !strings.Contains(err.Error(), "UNSUPPORTED_VERSION") {
		t.Fatalf("Run: %v", err)
	}
}

// atLeastOnce is a configuration for brokers without transactions.
func (w *world) atLeastOnce(instance string) Config {
	cfg := w.config(instance)
	cfg.Guarantee = guarantee.AtLeastOnce
	return cfg
}

// Without a crash at-least-once counts as exactly, restarts in between and on brokers that know no
// transactions.
func TestAtLeastOnceCountsExactlyWithoutACrash(t *testing.T) {
	w := newWorld(t, refusing(t))
	def, in, out := w.counting()
	for i := range 3 {
		cfg := w.atLeastOnce("a")
		if i > 0 {
			cfg.Dir = t.TempDir() // first in memory, then a local store that must be filled
		}
		r := w.run(cfg, def)
		w.sendNumbers(in, 500*i, 500*(i+1), 20)
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64(500*(i+1)) })
		r.stop()
	}
	w.checkCounts(def, out, 1500, 20)
}

func TestAtLeastOnceHandsPartitionsOver(t *testing.T) {
	w := newWorld(t, refusing(t))
	def, in, out := w.counting()
	a := w.run(w.atLeastOnce("a"), def)
	w.sendNumbers(in, 0, 500, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 500 })
	b := w.run(w.atLeastOnce("b"), def)
	until(t, "the second has partitions", func() bool { return len(b.Status().Partitions) == 2 && len(a.Status().Partitions) == 2 })
	w.sendNumbers(in, 500, 1000, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 1000 })
	a.stop()
	w.sendNumbers(in, 1000, 1500, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 1500 })
	b.stop()
	w.checkCounts(def, out, 1500, 20)
}

func TestAtLeastOnceRejectsBadRecordsAndGoesOn(t *testing.T) {
	w := newWorld(t, refusing(t))
	def, in, out := w.growing()
	w.sendText(in, "acme/ann", "emit:one", "boom", "emit:two")
	w.sendText(in, "acme/bob", "a", "boom", "b")
	r := w.run(w.atLeastOnce("a"), def)
	until(t, "all committed", func() bool { return w.committed(def, in.Name) == 6 })
	r.stop()
	rows := w.rows(def)
	if string(rows["acme/ann"]) != `["emit:one","emit:two"]` || string(rows["acme/bob"]) != `["a","b"]` {
		t.Errorf("rows: %s", rows)
	}
	if n, m := len(w.letters(def)), len(w.read(out.Name)); n != 2 || m != 2 {
		t.Errorf("%d letters, %d outputs", n, m)
	}
}

// What is not committed comes again: a commit that is refused after the write counts twice and loses
// nothing.
func TestAtLeastOnceRepeatsWhatWasNotCommitted(t *testing.T) {
	for name, fault := range map[string]kfake.Fault{
		"commit":  {Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownServerError, Count: 1},
		"produce": {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord, Count: 1},
		"member":  {Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.IllegalGeneration, Count: 1, When: ofInstance},
	} {
		t.Run(name, func(t *testing.T) {
			at := refusing(t)
			w := newWorld(t, at)
			def, in, out := w.counting()
			r := w.run(w.atLeastOnce("a"), def)
			r.untilReady()
			w.sendNumbers(in, 0, 500, 20)
			until(t, "first part committed", func() bool { return w.committed(def, in.Name) == 500 })
			if name == "produce" {
				fault.Topic, fault.Err = r.shared.Topic, kerr.UnknownServerError
			}
			h := at.fake.Fault(fault)
			w.sendNumbers(in, 500, 1000, 20)
			until(t, "all committed", func() bool { return w.committed(def, in.Name) == 1000 })
			r.stop()
			if h.Hits() == 0 {
				t.Error("the fault was never met")
			}
			doubled := w.atLeast(def, out, 1000, 20)
			if doubled > 500 {
				t.Errorf("%d counted again, at most what was not committed may be", doubled)
			}
			t.Logf("%d counted again", doubled)
		})
	}
}

// ofInstance picks a worker's heartbeats, and leaves alone those that the cluster's keeper sends for it.
func ofInstance(r kmsg.Request) bool { return r.(*kmsg.HeartbeatRequest).InstanceID != nil }

// atLeast fails when a number that was sent was lost, and returns how many were counted again.
func (w *world) atLeast(def *processors.Def, out topics.Topic[uint64], n, users int) (doubled int) {
	w.t.Helper()
	rows := w.rows(def)
	for u := range users {
		want := uint64((n - u + users - 1) / users)
		got, err := tallyCodec{}.Decode(rows[user(u)])
		if err != nil || got.N < want {
			w.t.Errorf("row of %s: %+v %v, want at least %d", user(u), got, err, want)
			continue
		}
		doubled += int(got.N - want)
	}
	seen := map[uint64]bool{}
	for _, r := range w.read(out.Name) {
		v, err := out.Codec.Decode(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		seen[v] = true
	}
	for v := uint64(0); v < uint64(n); v += 10 {
		if !seen[v] {
			w.t.Errorf("output %d was lost", v)
		}
	}
	return doubled
}

func TestAtLeastOnceLosesNothingThroughKills(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	c := w.crew("count-at-least-once")
	const users, deaths = 200, 8
	rng := rand.New(rand.NewPCG(5, 6))
	f := w.flow(in, users)
	for range deaths {
		c.join(def)
		c.advance(def, in)
		c.reach(def, in, w.committed(def, in.Name)+rng.Int64N(5000))
		i := rng.IntN(2)
		c.kill(i)
		c.start(i)
	}
	n := f.end(t)
	c.reach(def, in, int64(n))
	c.kill(0)
	c.kill(1)
	doubled := w.atLeast(def, out, n, users)
	if most := deaths * 5000; doubled > most {
		t.Errorf("%d counted again, at most %d may be", doubled, most)
	}
	t.Logf("%d records, %d kills, %d counted again", n, deaths, doubled)
}

func TestAtLeastOnceWakesRows(t *testing.T) {
	w := newWorld(t, refusing(t))
	in, out := numbers(w.name("in")), numbers(w.name("out"))
	w.ensure(in.Spec, out.Spec)
	def := quiet(w.id, in, out)
	r := w.run(w.atLeastOnce("a"), def)
	w.sendNumbers(in, 0, 20, 20)
	until(t, "every row was woken", func() bool { return len(w.read(out.Name)) >= 20 })
	r.stop()
	if n := len(w.read(out.Name)); n != 20 {
		t.Errorf("%d wakes", n)
	}
}

// A journal cannot be kept at least once.
func TestAtLeastOnceWritesNoJournal(t *testing.T) {
	w := newWorld(t, refusing(t))
	in := numbers(w.name("in"))
	w.ensure(in.Spec)
	def := processors.Define(processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{}, Journal: true,
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) { t.State.N++ })},
	})
	r := w.run(w.atLeastOnce("a"), def)
	w.sendNumbers(in, 0, 20, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 20 })
	r.stop()
	if list, err := w.adm.ListTopics(t.Context(), "dwell."+w.id+"-journal"); err != nil || list.Has("dwell."+w.id+"-journal") {
		t.Errorf("there is a journal: %v, %v", list, err)
	}
	if !def.Journal {
		t.Error("the declaration was changed")
	}
}
