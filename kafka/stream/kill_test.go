package stream

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/guarantee"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// TestMain lets the test binary be a worker process, to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("DWELL_STREAM_WORKER") != "" {
		if err := work(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// work runs a processor until it is killed: brokers, id, instance, directory, session timeout, and
// which: count, wake, late, count-at-least-once, or everything@ and where the clock stands, Unix ms.
func work(args []string) error {
	id := args[1]
	session, err := time.ParseDuration(args[4])
	if err != nil {
		return err
	}
	cfg := DefaultConfig()
	cfg.Kafka = kafka.DefaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Partitions = strings.Split(args[0], ","), 4
	cfg.InstanceID, cfg.Dir, cfg.SessionTimeout = args[2], args[3], session
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stdout, nil))
	def := counting(id, numbers(id+".in"), numbers(id+".out"))
	switch args[5] {
	case "wake":
		def = quiet(id, numbers(id+".in"), numbers(id+".out"))
	case "late":
		def = late(id, numbers(id+".in"), numbers(id+".out"))
	case "count-at-least-once":
		cfg.Guarantee = guarantee.AtLeastOnce
	}
	now := time.Now
	if ms, ok := strings.CutPrefix(args[5], "everything@"); ok {
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return err
		}
		def, now = everything(id).def, at(time.UnixMilli(n)).now
	}
	p, err := New(cfg, def)
	if err != nil {
		return err
	}
	p.shared.Now = now
	return p.Run(context.Background())
}

// quiet emits a user's last number after a tenth of a second without another.
func quiet(name string, in, out topics.Topic[uint64]) *processors.Def {
	return processors.Define(processors.Processor[tally]{
		Name: name, Row: tallyCodec{}, Outputs: []*topics.Spec{out.Spec},
		Wake: func(t *processors.Turn[tally]) { processors.Emit(t, out, t.Key, t.State.Sum) },
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) {
			t.State.N++
			t.State.Sum = v
			t.WakeAt(t.Now.Add(100 * time.Millisecond))
		})},
	})
}

// crew is a number of worker processes.
type crew struct {
	w       *world
	which   string
	dir     string
	session time.Duration
	workers []*exec.Cmd
}

func (c *crew) log(i int) string { return filepath.Join(c.dir, fmt.Sprintf("w%d.log", i)) }

func (c *crew) start(i int) {
	t := c.w.t
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	instance := fmt.Sprintf("w%d", i)
	cmd := exec.CommandContext(t.Context(), self, strings.Join(c.w.cfg.Brokers, ","), c.w.id, instance, filepath.Join(c.dir, instance), c.session.String(), c.which)
	cmd.Env = append(os.Environ(), "DWELL_STREAM_WORKER=1")
	log, err := os.OpenFile(c.log(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.workers[i] = cmd
}

func (c *crew) kill(i int) {
	c.w.t.Helper()
	if err := c.workers[i].Process.Kill(); err != nil {
		c.w.t.Errorf("worker %d ended by itself: %v\n%s", i, err, tail(c.log(i)))
	}
	_ = c.workers[i].Wait() // it was killed, and says so
}

// join waits until the group has all workers.
func (c *crew) join(def *processors.Def) {
	c.w.t.Helper()
	group := "dwell." + def.Name
	until(c.w.t, "all workers are in the group", func() bool {
		found, err := c.w.adm.DescribeGroups(c.w.t.Context(), group)
		return err == nil && found[group].State == "Stable" && len(found[group].Members) == len(c.workers)
	})
}

// advance waits until every partition got ahead, so that none is a dead worker's.
func (c *crew) advance(def *processors.Def, in topics.Topic[uint64]) {
	c.w.t.Helper()
	at := func() map[int32]int64 {
		m := map[int32]int64{}
		if o, err := c.w.adm.FetchOffsets(c.w.t.Context(), "dwell."+def.Name); err == nil {
			for p, r := range o[in.Name] {
				m[p] = r.At
			}
		}
		return m
	}
	start := at()
	until(c.w.t, "every partition moves", func() bool {
		now := at()
		for p := range int32(4) {
			if now[p] <= max(start[p], 0) {
				return false
			}
		}
		return true
	})
}

// kills is how often a worker is killed: DWELL_TEST_KILLS, or a few.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("DWELL_TEST_KILLS")); err == nil {
		return n
	}
	return 12
}

// flow sends numbers, 40,000 a second at most, from one goroutine until it is stopped.
type flow struct {
	sent atomic.Int64 // and acknowledged
	stop chan struct{}
	done chan error
}

func (w *world) flow(in topics.Topic[uint64], users int) *flow {
	f := &flow{stop: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		beat := time.NewTicker(5 * time.Millisecond)
		defer beat.Stop()
		for i := 0; ; {
			select {
			case <-f.stop:
				f.done <- nil
				return
			case <-beat.C:
			}
			recs := make([]*kgo.Record, 200)
			for j := range recs {
				recs[j] = numberRecord(in.Name, user(i%users), uint64(i))
				i++
			}
			if err := w.cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
				f.done <- err
				return
			}
			f.sent.Store(int64(i))
		}
	}()
	return f
}

func (f *flow) end(t *testing.T) (sent int) {
	t.Helper()
	close(f.stop)
	if err := <-f.done; err != nil {
		t.Fatal(err)
	}
	return int(f.sent.Load())
}

// crew starts two workers.
func (w *world) crew(which string) *crew {
	w.t.Helper()
	c := &crew{w: w, which: which, dir: w.t.TempDir(), session: 6 * time.Second, workers: make([]*exec.Cmd, 2)}
	if w.fake != nil {
		c.session = time.Second
	}
	c.start(0)
	c.start(1)
	w.t.Cleanup(func() {
		for i := range c.workers {
			if w.t.Failed() {
				w.t.Logf("worker %d:\n%s", i, tail(c.log(i)))
			}
		}
	})
	return c
}

// reach waits for a number of committed records.
func (c *crew) reach(def *processors.Def, in topics.Topic[uint64], n int64) {
	c.w.t.Helper()
	until(c.w.t, fmt.Sprint("the workers reach ", n), func() bool { return c.w.committed(def, in.Name) >= n })
}

func TestEachRecordCountsOnceThroughKills(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	c := w.crew("count")
	const users = 200
	rng := rand.New(rand.NewPCG(1, 2))
	f := w.flow(in, users)
	for k := range kills() {
		c.join(def)
		c.advance(def, in)
		c.reach(def, in, w.committed(def, in.Name)+rng.Int64N(5000)) // somewhere in the midst of a transaction
		i := rng.IntN(2)
		c.kill(i)
		if k%8 == 7 {
			c.advance(def, in) // the other one takes over
		}
		c.start(i)
	}
	n := f.end(t)
	c.reach(def, in, int64(n))
	c.kill(0)
	c.kill(1)
	w.checkCounts(def, out, n, users)
	t.Logf("%d records, %d kills", n, kills())
}

// A worker that stands still until another one has taken over, and then goes on in the midst of its
// transaction, must not do again what the other did: neither for records nor for wakes, which move no
// offset.
func TestWakesFireOnceThroughKillsAndStandstills(t *testing.T) {
	w := newWorld(t, brokers(t))
	in, out := numbers(w.name("in")), numbers(w.name("out"))
	w.ensure(in.Spec, out.Spec)
	def := quiet(w.id, in, out)
	c := w.crew("wake")
	const users = 20_000
	rng := rand.New(rand.NewPCG(3, 4))
	f := w.flow(in, users)
	for k := range max(4, kills()/3) {
		c.join(def)
		c.advance(def, in)
		c.reach(def, in, w.committed(def, in.Name)+rng.Int64N(5000))
		i := rng.IntN(2)
		if k%2 == 0 {
			c.kill(i)
			c.start(i)
			continue
		}
		c.signal(i, syscall.SIGSTOP)
		c.advance(def, in) // the other one takes over
		c.signal(i, syscall.SIGCONT)
	}
	n := f.end(t)
	c.reach(def, in, int64(n))
	last := map[string]uint64{}
	for i := max(0, n-users); i < n; i++ {
		last[user(i%users)] = uint64(i)
	}
	var got map[string][]uint64
	until(t, "every user's last number", func() bool {
		got = w.outputs(out)
		for u, v := range last {
			if all := got[u]; len(all) == 0 || all[len(all)-1] != v {
				return false
			}
		}
		return true
	})
	wakes := 0
	for u, all := range got {
		wakes += len(all)
		for i := 1; i < len(all); i++ {
			if all[i] <= all[i-1] {
				t.Fatalf("%s: %d after %d: a wake fired twice", u, all[i], all[i-1])
			}
		}
	}
	t.Logf("%d records, %d wakes", n, wakes)
	c.kill(0)
	c.kill(1)
}

func (c *crew) signal(i int, s os.Signal) {
	c.w.t.Helper()
	if err := c.workers[i].Process.Signal(s); err != nil {
		c.w.t.Fatalf("worker %d: %v", i, err)
	}
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}
