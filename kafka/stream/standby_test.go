package stream

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/standby"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// victim starts one worker process, to be killed.
func (w *world) victim(which string) *crew {
	w.t.Helper()
	c := &crew{w: w, which: which, dir: w.t.TempDir(), session: DefaultSessionTimeout, workers: make([]*exec.Cmd, 1)}
	c.start(0)
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("worker 0:\n%s", tail(c.log(0)))
		}
	})
	return c
}

// copied says whether an instance has this many copies, all of them up to date.
func (w *world) copied(r *running, n int) bool {
	all := r.Status().Standbys
	if len(all) != n {
		return false
	}
	ends := w.ends(r.shared.Topic)
	return !slices.ContainsFunc(all, func(s standby.Status) bool { return s.Next < ends[s.Number] })
}

func TestTakeOverAfterAKillReadsTheTailOnly(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	const users, n = 2000, 20_000
	cfg := w.config("a")
	cfg.Dir, cfg.SessionTimeout = t.TempDir(), DefaultSessionTimeout
	a := w.run(cfg, def)
	c := w.victim("count")
	until(t, "they share", func() bool { return a.Ready() && a.owned() == 2 })
	w.sendNumbers(in, 0, n, users)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == n })
	until(t, "a has copies", func() bool { return w.copied(a, 2) })
	if rows := a.shared.Count.Followed.Load(); rows < users/4 {
		t.Errorf("the copies read %d rows", rows)
	}
	start := time.Now()
	c.kill(0)
	w.sendNumbers(in, n, n+1000, users)
	until(t, "the dead one's records are processed", func() bool { return w.committed(def, in.Name) == n+1000 })
	t.Logf("processing all partitions again %v after the kill, %d rows recovered", time.Since(start), a.recovered())
	if got := a.recovered(); got > 100 {
		t.Errorf("%d rows were read at take-over, although copies had them", got)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("taking over took %v", took)
	}
	a.stop()
	w.checkCounts(def, out, n+1000, users)
}

// late emits a user's last number four seconds after it, and forgets users with number 0.
func late(name string, in, out topics.Topic[uint64]) *processors.Def {
	return processors.Define(processors.Processor[tally]{
		Name: name, Row: tallyCodec{}, Outputs: []*topics.Spec{out.Spec},
		Wake: func(t *processors.Turn[tally]) { processors.Emit(t, out, t.Key, t.State.Sum) },
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) {
			if v == 0 {
				t.Forget()
				return
			}
			t.State.Sum = v
			t.WakeAt(t.Now.Add(4 * time.Second))
		})},
	})
}

func TestDeadlinesOfACopyAreRight(t *testing.T) {
	w := newWorld(t, brokers(t))
	in, out := numbers(w.name("in")), numbers(w.name("out"))
	w.ensure(in.Spec, out.Spec)
	def := late(w.id, in, out)
	cfg := w.config("a")
	cfg.Dir, cfg.SessionTimeout = t.TempDir(), time.Second
	if w.fake == nil {
		cfg.SessionTimeout = 6 * time.Second
	}
	a := w.run(cfg, def)
	c := &crew{w: w, which: "late", dir: t.TempDir(), session: cfg.SessionTimeout, workers: make([]*exec.Cmd, 1)}
	c.start(0)
	until(t, "they share", func() bool { return a.Ready() && a.owned() == 2 })
	const users = 300
	send := func(first, step int, v uint64) {
		var recs []*kgo.Record
		for i := first; i < users; i += step {
			recs = append(recs, numberRecord(in.Name, user(i), v))
		}
		w.send(recs...)
	}
	send(0, 1, 1)
	send(0, 3, 2) // these wait longer
	send(1, 3, 0) // these do not wait any more
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 500 })
	until(t, "a has copies", func() bool { return w.copied(a, 2) })
	c.kill(0)
	var got map[string][]uint64
	until(t, "every deadline", func() bool {
		got = w.outputs(out)
		return len(got) == 200 && a.owned() == 4
	})
	if n := a.recovered(); n > 10 {
		t.Errorf("%d rows were read at take-over", n)
	}
	a.stop()
	for i := range users {
		want := []string{"[2]", "[]", "[1]"}[i%3]
		if fmt.Sprint(got[user(i)]) != want {
			t.Errorf("user %d: %v, want %s", i, got[user(i)], want)
		}
	}
}

func TestThirdInstanceJoinsAndLeaves(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	const users, part = 100, 2000
	start := func(name string) *running {
		cfg := w.config(name)
		cfg.Dir = t.TempDir()
		return w.run(cfg, def)
	}
	a, b := start("a"), start("b")
	until(t, "two share", func() bool { return a.Ready() && b.Ready() && a.owned() == 2 && b.owned() == 2 })
	w.sendNumbers(in, 0, part, users)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == part })
	until(t, "copies", func() bool { return w.copied(a, 2) && w.copied(b, 2) })
	c := start("c")
	until(t, "three share", func() bool {
		return a.Ready() && b.Ready() && c.Ready() && a.owned()+b.owned()+c.owned() == 4 && c.owned() > 0
	})
	w.sendNumbers(in, part, 2*part, users)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 2*part })
	copies := func(all ...*running) (n int) {
		for _, r := range all {
			if k := len(r.Status().Standbys); w.copied(r, k) {
				n += k
			}
		}
		return n
	}
	until(t, "a copy of each", func() bool { return copies(a, b, c) == 4 })
	c.stop()
	until(t, "two share again", func() bool { return a.Ready() && b.Ready() && a.owned() == 2 && b.owned() == 2 && copies(a, b) == 4 })
	if n := a.recovered() + b.recovered(); n > 100 {
		t.Errorf("%d rows were read when the third left", n)
	}
	w.sendNumbers(in, 2*part, 3*part, users)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 3*part })
	a.stop()
	b.stop()
	w.checkCounts(def, out, 3*part, users)
}

// Two groups in one process, with one folder and one instance id, keep their copies apart.
func TestCopiesOfTwoGroupsInOneProcess(t *testing.T) {
	w := newWorld(t, brokers(t))
	one, in, out := w.counting()
	out2 := numbers(w.name("out2"))
	w.ensure(out2.Spec)
	two := counting(w.id+"-2", in, out2)
	const users, n = 100, 4000
	var all []*running
	for _, name := range []string{"a", "b"} {
		cfg := w.config(name)
		cfg.Dir = t.TempDir()
		all = append(all, w.run(cfg, one), w.run(cfg, two))
	}
	settled := func() bool {
		return !slices.ContainsFunc(all, func(r *running) bool { return !r.Ready() || r.owned() != 2 || !w.copied(r, 2) })
	}
	until(t, "all share", settled)
	w.sendNumbers(in, 0, n, users)
	done := func(k int) func() bool {
		return func() bool { return w.committed(one, in.Name) == int64(k) && w.committed(two, in.Name) == int64(k) }
	}
	until(t, "committed", done(n))
	until(t, "copies", settled)
	all[0].stop()
	all[1].stop()
	w.sendNumbers(in, n, 2*n, users)
	until(t, "committed", done(2*n))
	for _, r := range all[2:] {
		if got := r.recovered(); got > 100 {
			t.Errorf("%d rows were read at take-over", got)
		}
		r.stop()
	}
	w.checkCounts(one, out, 2*n, users)
	w.checkCounts(two, out2, 2*n, users)
}

// Brokers that allow 6 s at least get 6 s, when nobody asked for another timeout.
func TestDefaultSessionTimeoutGivesWay(t *testing.T) {
	if brokers(t).fake == nil {
		t.Skip("the cluster's minimum is not known")
	}
	w := newWorld(t, inProcess(t, kfake.GroupMinSessionTimeout(6*time.Second)))
	def, in, out := w.counting()
	cfg := w.config("a")
	cfg.SessionTimeout = 0
	r := w.run(cfg, def)
	w.sendNumbers(in, 0, 100, 10)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 100 })
	r.stop()
	w.checkCounts(def, out, 100, 10)
}

// A disk that spoils what a worker has written costs it reading the table again, not its life.
func TestDamagedLocalStoreIsReadAgain(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	const users, n = 2000, 4000
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	for round := range 2 {
		r := w.run(cfg, def)
		w.sendNumbers(in, round*n, (round+1)*n, users)
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64((round+1)*n) })
		r.stop()
	}
	idle := w.run(cfg, def) // a life without writing leaves all rows in tables
	idle.untilReady()
	idle.stop()
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "*", "*", "*.sst"))
	if err != nil || len(files) == 0 {
		t.Fatalf("tables: %v %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i := 50; i < len(b)/2; i += 500 {
			b[i] ^= 0x55
		}
		if err := os.WriteFile(f, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.sendNumbers(in, 2*n, 3*n, users)
	r := w.run(cfg, def)
	if err := r.wait(); err == nil || !strings.Contains(err.Error(), "local store") { // its supervisor starts it again
		t.Fatalf("Run: %v", err)
	}
	r = w.run(cfg, def)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 3*n })
	if r.recovered() < users {
		t.Errorf("%d rows were read again", r.recovered())
	}
	r.stop()
	w.checkCounts(def, out, 3*n, users)
}
