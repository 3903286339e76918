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
	"testing"
	"time"

	"github.com/dwellhq/dwell/kafka"
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

// work runs the counting processor until it is killed: brokers, id, instance, directory, session
// timeout.
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
	p, err := New(cfg, counting(id, numbers(id+".in"), numbers(id+".out")))
	if err != nil {
		return err
	}
	return p.Run(context.Background())
}

// crew is a number of worker processes.
type crew struct {
	w       *world
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
	cmd := exec.CommandContext(t.Context(), self, strings.Join(c.w.cfg.Brokers, ","), c.w.id, instance, filepath.Join(c.dir, instance), c.session.String())
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

// kills is how often a worker is killed: DWELL_TEST_KILLS, or a few.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("DWELL_TEST_KILLS")); err == nil {
		return n
	}
	return 12
}

func TestEachRecordCountsOnceThroughKills(t *testing.T) {
	addrs, cluster := brokers(t)
	w := newWorld(t, addrs, nil)
	def, in, out := w.counting()
	const users, batch = 200, 10_000
	c := &crew{w: w, dir: t.TempDir(), session: 6 * time.Second, workers: make([]*exec.Cmd, 2)}
	if cluster != nil {
		c.session = time.Second
	}
	c.start(0)
	c.start(1)
	rng := rand.New(rand.NewPCG(1, 2))
	reaches := func(n int) {
		until(t, fmt.Sprint("the workers reach ", n), func() bool { return w.committed(def, in.Name) >= int64(n) })
	}
	n := kills()
	for k := range n {
		w.sendNumbers(in, k*batch, (k+1)*batch, users)
		reaches(k*batch + rng.IntN(batch)) // somewhere in the midst
		i := rng.IntN(2)
		c.kill(i)
		if k%6 == 5 { // the other one takes over
			reaches((k + 1) * batch)
		}
		c.start(i)
	}
	reaches(n * batch)
	c.kill(0)
	c.kill(1)
	w.checkCounts(def, out, n*batch, users)
	if t.Failed() {
		for i := range c.workers {
			t.Logf("worker %d:\n%s", i, tail(c.log(i)))
		}
	}
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}
