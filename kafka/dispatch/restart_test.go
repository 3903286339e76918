package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/sinks/channels"
)

// childConfig is the part of Config that a child process gets.
type childConfig struct {
	Brokers []string
	Group   string
	Push    channels.PushConfig
	Session time.Duration
}

const childEnv = "DWELL_TEST_ENGAGER"

// TestMain runs an Engager instead of the tests when a test started this process for that.
func TestMain(m *testing.M) {
	raw := os.Getenv(childEnv)
	if raw == "" {
		os.Exit(m.Run())
	}
	var c childConfig
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		panic(err)
	}
	cfg := DefaultConfig()
	cfg.Kafka = kafka.DefaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Partitions, cfg.Kafka.Replication = c.Brokers, 4, 1
	cfg.Group, cfg.Push = c.Group, c.Push
	cfg.CommitInterval, cfg.SessionTimeout = 20*time.Millisecond, c.Session
	d, err := New(cfg, Deps{})
	if err != nil {
		panic(err)
	}
	if err := d.Run(context.Background()); err != nil {
		panic(err)
	}
}

// child is an Engager in a process of its own.
func (w *world) child() *exec.Cmd {
	w.t.Helper()
	raw, err := json.Marshal(childConfig{Brokers: w.cfg.Kafka.Brokers, Group: w.cfg.Group, Push: w.cfg.Push, Session: w.cfg.SessionTimeout})
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(raw))
	cmd.Stdout, cmd.Stderr = testWriter{w.t}, testWriter{w.t}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { kill(cmd) })
	return cmd
}

// kill is kill -9; the second one does nothing.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may be gone
	_ = cmd.Wait()         // says that it was killed
}

func TestKilledEngagerLosesNothing(t *testing.T) {
	w := newWorld(t)
	var allow atomic.Int64 // how many pushes may still be answered
	n := w.node(func(p push) (int, string) {
		if allow.Add(-1) < 0 {
			return 503, "not now"
		}
		return seen(p)
	})
	var want []string
	for i := range 40 {
		u := fmt.Sprintf("u%02d", i)
		want = append(want, u)
		w.act(u, "shop", u)
		if i%4 != 0 { // every fourth user is away for now
			w.present("shop", u, n.URL)
		}
	}
	for round := range 3 {
		before := w.pushed(want)
		allow.Store(5)
		c := w.child()
		eventually(t, fmt.Sprintf("progress in round %d", round), func() bool { return w.pushed(want) > before })
		kill(c)
	}
	allow.Store(1 << 40)
	w.child()
	for i, u := range want {
		if i%4 == 0 {
			w.present("shop", u, n.URL)
		}
	}
	eventually(t, "every action to be pushed", func() bool { return w.pushed(want) == len(want) })
	for _, id := range want {
		for _, d := range w.of(id) {
			if d.Status != "pushed" {
				t.Errorf("%s is %s: %s", id, d.Status, d.Error)
			}
		}
	}
}

// pushed counts the actions that were pushed at least once.
func (w *world) pushed(ids []string) int {
	n := 0
	for _, id := range ids {
		if len(w.of(id)) > 0 {
			n++
		}
	}
	return n
}

func TestOrderlyRestartPushesNothingTwice(t *testing.T) {
	w := newWorld(t)
	n := w.node(seen)
	first := w.engage(Deps{})
	var want []string
	for i := range 30 {
		u := fmt.Sprintf("u%02d", i)
		w.act("away-"+u, "shop", "away-"+u) // waits all the time, in front of others
		want = append(want, u)
		w.present("shop", u, n.URL)
		w.act(u, "shop", u)
	}
	eventually(t, "some pushes", func() bool { return len(n.ids()) > 3 })
	first.stop() // in the middle of it
	if first.Ready() == nil {
		t.Error("ready after Run")
	}
	second := w.engage(Deps{})
	for _, id := range want {
		w.await(id, "pushed")
	}
	eventually(t, "only those to wait who are away", func() bool { return unfinished(second) == 30 && second.Status().Waiting == 30 })
	for i := range 30 {
		u := fmt.Sprintf("away-u%02d", i)
		want = append(want, u)
		w.present("shop", u, n.URL)
		w.await(u, "pushed")
	}
	eventually(t, "all to be finished", func() bool { return unfinished(second) == 0 })
	second.stop()
	slices.Sort(want)
	got := n.ids()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("pushed %v, want each once", got)
	}
	var sum int64
	for _, at := range w.committed() {
		sum += at
	}
	if sum != int64(len(want)) {
		t.Errorf("committed %v: %d records, want %d", w.committed(), sum, len(want))
	}
}

func TestStopWaitsForTheCallUnderWay(t *testing.T) {
	w := newWorld(t)
	asked, release := make(chan struct{}), make(chan struct{})
	n := w.node(func(p push) (int, string) { close(asked); <-release; return seen(p) })
	w.present("shop", "ann", n.URL)
	e := w.engage(Deps{}, func(c *Config) { c.StopTimeout = patience })
	w.act("a1", "shop", "ann")
	<-asked
	stopped := make(chan struct{})
	go func() { e.stop(); close(stopped) }()
	eventually(t, "the stop to begin", func() bool { return e.Ready() != nil })
	select {
	case <-stopped:
		t.Error("stopped with a call under way")
	default:
	}
	close(release)
	<-stopped
	w.await("a1", "pushed")
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	w := newWorld(t)
	asked, release := make(chan struct{}), make(chan struct{})
	n := w.node(func(p push) (int, string) { close(asked); <-release; return seen(p) })
	defer close(release)
	w.present("shop", "ann", n.URL)
	e := w.engage(Deps{}, func(c *Config) { c.StopTimeout, c.Push.Slack = 50*time.Millisecond, time.Hour })
	w.act("a1", "shop", "ann")
	<-asked
	e.stop()
	for p, at := range w.committed() {
		if at > 0 {
			t.Errorf("partition %d is committed up to %d though nothing was delivered", p, at)
		}
	}
}

func TestStopsWithoutABroker(t *testing.T) {
	w := newWorld(t)
	if w.cluster == nil {
		t.Skip("needs a broker that can be stopped")
	}
	asked, release := make(chan struct{}), make(chan struct{})
	n := w.node(func(p push) (int, string) { close(asked); <-release; return seen(p) })
	w.present("shop", "ann", n.URL)
	e := w.engage(Deps{}, func(c *Config) {
		c.StopTimeout = patience
		c.Kafka.Extra = []kgo.Opt{kgo.RecordDeliveryTimeout(time.Second)}
	})
	w.act("a1", "shop", "ann")
	<-asked
	w.cluster.Close()
	close(release) // the report of this call can be written nowhere
	e.stop()
}

func TestTwoEngagersShareAndTakeOver(t *testing.T) {
	w := newWorld(t)
	n := w.node(seen)
	one, two := w.engage(Deps{}), w.engage(Deps{})
	eventually(t, "two partitions each", func() bool {
		return len(one.Status().Partitions) == 2 && len(two.Status().Partitions) == 2
	})
	var away, here []string
	for i := range 40 {
		u := fmt.Sprintf("u%02d", i)
		if i%2 == 0 {
			away = append(away, u)
		} else {
			here = append(here, u)
			w.present("shop", u, n.URL)
		}
		w.act(u, "shop", u)
	}
	for _, id := range here {
		w.await(id, "pushed")
	}
	if one.Status().Waiting == 0 || two.Status().Waiting == 0 {
		t.Errorf("waiting: %d and %d, want some at each", one.Status().Waiting, two.Status().Waiting)
	}
	one.stop()
	eventually(t, "the other to have all", func() bool {
		return len(two.Status().Partitions) == 4 && two.Status().Waiting == len(away)
	})
	for _, u := range away {
		w.present("shop", u, n.URL)
	}
	for _, id := range away {
		w.await(id, "pushed")
	}
	three := w.engage(Deps{})
	eventually(t, "the third to have its share", func() bool { return len(three.Status().Partitions) == 2 })
	w.act("last", "shop", here[0])
	w.await("last", "pushed")
}
