package stream

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/brake"
	"github.com/dwellhq/dwell/kafka/stream/guarantee"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// bad are records that no number is.
func (w *world) bad(in topics.Topic[uint64], n int) {
	w.t.Helper()
	var recs []*kgo.Record
	for i := range n {
		recs = append(recs, &kgo.Record{Topic: in.Name, Key: []byte(user(i)), Value: []byte("bad")})
	}
	w.send(recs...)
}

// stopped starts a processor that must stop by itself.
func (w *world) stopped(cfg Config, def *processors.Def) error {
	w.t.Helper()
	r := w.run(cfg, def)
	err := r.wait()
	if err == nil || r.Ready() {
		w.t.Fatalf("Run: %v, ready %v", err, r.Ready())
	}
	return err
}

// A processor that rejects too much stops; what it committed before stays, the transaction that was too
// much does not, and starting it again and again lets no more through.
func TestTooManyDeadLettersStopTheProcessorForGood(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	cfg := w.config("a")
	r := w.run(cfg, def)
	w.sendNumbers(in, 0, 500, 20)
	until(t, "good ones committed", func() bool { return w.committed(def, in.Name) == 500 })
	w.bad(in, 90)
	until(t, "a few bad ones committed", func() bool { return w.committed(def, in.Name) == 590 })
	w.bad(in, 400)
	err := r.wait()
	if err == nil || r.Ready() {
		t.Fatalf("Run: %v, ready %v", err, r.Ready())
	}
	for _, want := range []string{def.Name, "were rejected within 1m0s", in.Name + "/", "undecodable", "dwell dlq"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	before := len(w.letters(def))
	for _, instance := range []string{"a", "b", "a"} { // a restart, another machine
		if err := w.stopped(w.config(instance), def); !strings.Contains(err.Error(), "were rejected") {
			t.Errorf("started again: %v", err)
		}
	}
	if n := len(w.letters(def)); n != before || n < 90 || n > 99 {
		t.Errorf("%d dead letters, %d before the restarts", n, before)
	}
	cfg.DeadLetters = brake.Limit{}
	r = w.run(cfg, def)
	w.sendNumbers(in, 500, 1000, 20)
	until(t, "all committed without a limit", func() bool { return w.committed(def, in.Name) == 1490 })
	r.stop()
	w.checkCounts(def, out, 1000, 20)
	if n := len(w.letters(def)); n != 490 {
		t.Errorf("%d dead letters in the end", n)
	}
}

// What was rejected before a restart, or by another instance, counts: the minute does not begin anew.
func TestDeadLettersOfBeforeARestartCount(t *testing.T) {
	for _, kind := range []guarantee.Guarantee{guarantee.ExactlyOnce, guarantee.AtLeastOnce} {
		w := newWorld(t, brokers(t))
		def, in, _ := w.counting()
		for i, instance := range []string{"a", "a", "b"} {
			cfg := w.config(instance)
			cfg.Guarantee = kind
			r := w.run(cfg, def)
			w.bad(in, 30)
			until(t, "committed", func() bool { return w.committed(def, in.Name) == int64(30*(i+1)) })
			r.stop()
		}
		cfg := w.config("a")
		cfg.Guarantee = kind
		w.bad(in, 30)
		if err := w.stopped(cfg, def); !strings.Contains(err.Error(), "records were rejected") {
			t.Errorf("%s: %v", kind, err)
		}
		if n := len(w.letters(def)); n < 90 || n > 99 {
			t.Errorf("%s: %d dead letters", kind, n)
		}
	}
}

func TestFewBadRecordsStopNothing(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	w.sendNumbers(in, 0, 4000, 20)
	w.bad(in, 150) // above a hundred, below five percent
	r := w.run(w.config("a"), def)
	until(t, "all committed", func() bool { return w.committed(def, in.Name) == 4150 })
	r.stop()
	w.checkCounts(def, out, 4000, 20)
}
