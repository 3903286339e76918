package stream

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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

// work runs the counting processor until it is killed: brokers, id, instance, directory.
func work(args []string) error {
	id := args[1]
	cfg := DefaultConfig()
	cfg.Kafka = kafka.DefaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Partitions = strings.Split(args[0], ","), 4
	cfg.InstanceID, cfg.Dir, cfg.SessionTimeout = args[2], args[3], 6*time.Second
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stdout, nil))
	p, err := New(cfg, counting(id, numbers(id+".in"), numbers(id+".out")))
	if err != nil {
		return err
	}
	return p.Run(context.Background())
}

func TestEachRecordCountsOnceThroughKills(t *testing.T) {
	addrs, _ := brokers(t)
	w := newWorld(t, addrs, nil)
	def, in, out := w.counting()
	const users, batch, kills = 200, 20_000, 8
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	start := func(i int) *exec.Cmd {
		instance := fmt.Sprintf("w%d", i)
		c := exec.CommandContext(t.Context(), self, strings.Join(addrs, ","), w.id, instance, filepath.Join(dir, instance))
		c.Env = append(os.Environ(), "DWELL_STREAM_WORKER=1")
		log, err := os.OpenFile(filepath.Join(dir, instance+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		c.Stdout, c.Stderr = log, log
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	workers := []*exec.Cmd{start(0), start(1)}
	kill := func(i int) {
		if err := workers[i].Process.Kill(); err != nil {
			t.Errorf("worker %d ended by itself: %v\n%s", i, err, tail(filepath.Join(dir, fmt.Sprintf("w%d.log", i))))
		}
		_ = workers[i].Wait() // it was killed, and says so
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for k := range kills {
		w.sendNumbers(in, k*batch, (k+1)*batch, users)
		// Somewhere in the midst of the batch.
		until(t, "the workers go on", func() bool { return w.committed(def, in.Name) >= int64(k*batch+rng.IntN(batch)) })
		i := rng.IntN(2)
		kill(i)
		workers[i] = start(i)
	}
	until(t, "all committed", func() bool { return w.committed(def, in.Name) == batch*kills })
	for i := range workers {
		kill(i)
	}
	w.checkCounts(def, out, batch*kills, users)
	if t.Failed() {
		for i := range workers {
			t.Logf("worker %d:\n%s", i, tail(filepath.Join(dir, fmt.Sprintf("w%d.log", i))))
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
