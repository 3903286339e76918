package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// A wake panics, and another grows its row too far. Each is one dead letter, also of a worker that was
// killed in between and starts again; the other rows are woken, and so is the same row the next time.
func TestWakesThatFailGoToTheDeadLettersOnceAndARestartGoesOn(t *testing.T) {
	where := fake(t)
	w := newWorld(t, where)
	in, out := topics.Stream[string](w.name("in")), numbers(w.name("out"))
	w.ensure(in.Spec, out.Spec)
	def := processors.Define(processors.Processor[string]{
		Name: w.id, MaxRowBytes: 1000, Outputs: []*topics.Spec{out.Spec},
		Inputs: []processors.Input[string]{processors.On(in, func(t *processors.Turn[string], v string) {
			*t.State = v
			t.WakeAt(t.Now.Add(time.Minute))
		})},
		Wake: func(t *processors.Turn[string]) {
			processors.Emit(t, out, t.Key, 1)
			switch *t.State {
			case "panic":
				*t.State = "garbage"
				panic("no wake")
			case "grow":
				*t.State = strings.Repeat("g", 2000)
			}
		},
	})
	c, cfg := at(noon), w.config("a")
	cfg.Dir = t.TempDir()
	say := func(ts time.Time, users ...string) {
		for _, u := range users {
			rec := &kgo.Record{Topic: in.Name, Key: []byte("acme/" + u), Value: fmt.Appendf(nil, "%q", u), Timestamp: ts}
			w.send(rec)
		}
	}
	r := w.runAt(c, cfg, def)
	say(noon, "ann", "panic", "bob", "grow")
	until(t, "read", func() bool { return w.committed(def, in.Name) == 4 })
	// The transaction of the letters fails at first, too.
	refused := where.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.DeadLetters.Name, Err: kerr.UnknownServerError, Count: 1})
	c.set(noon.Add(10 * time.Minute))
	until(t, "the letters are there", func() bool { return len(w.letters(def)) == 2 })
	r.stop()
	if refused.Hits() == 0 {
		t.Error("the fault was never met")
	}
	for _, dir := range []string{cfg.Dir, t.TempDir()} { // with the local store, and without
		cfg.Dir = dir
		r = w.runAt(c, cfg, def)
		r.untilReady()
		c.set(c.now().Add(10 * time.Minute))
		say(c.now(), "cid")
		woken := len(w.outputs(out)["acme/cid"])
		c.set(c.now().Add(10 * time.Minute))
		until(t, "cid is woken", func() bool { return len(w.outputs(out)["acme/cid"]) > woken })
		r.stop()
	}
	w.checkRejectedWakes(def, out)
	r = w.runAt(c, cfg, def)
	r.untilReady()
	say(c.now(), "panic") // sets the next deadline
	c.set(c.now().Add(10 * time.Minute))
	until(t, "the next letter is there", func() bool { return len(w.letters(def)) == 3 })
	r.stop()
}

func (w *world) checkRejectedWakes(def *processors.Def, out topics.Topic[uint64]) {
	w.t.Helper()
	due := noon.Add(time.Minute).UnixMilli()
	why := map[string]string{"acme/panic": "no wake", "acme/grow": "at most 1000 are kept"}
	for _, d := range w.letters(def) {
		want, ok := why[string(d.Key)]
		if !ok || d.Topic != "dwell."+def.Name+"-table" || d.Offset != -1 || d.WakeMs != due || !strings.Contains(d.Error, want) {
			w.t.Errorf("letter %v", d)
		}
		delete(why, string(d.Key))
	}
	if len(why) != 0 {
		w.t.Errorf("letters lack %v", why)
	}
	got, rows := w.outputs(out), w.rows(def)
	if len(got["acme/ann"]) != 1 || len(got["acme/bob"]) != 1 || len(got["acme/panic"])+len(got["acme/grow"]) != 0 {
		w.t.Errorf("outputs %v", got)
	}
	if string(rows["acme/panic"]) != `"panic"` || string(rows["acme/grow"]) != `"grow"` {
		w.t.Errorf("rows %q", rows)
	}
}
