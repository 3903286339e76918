// Package livetest gives tests of what works on a cluster, such as commands, one in their own process: a
// broker with dwell's topics, and Deciders at work.
package livetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/topics"
)

// Patience is how long Until waits.
const Patience = 60 * time.Second

// Kafka starts a broker that has dwell's topics, with so many partitions, until the test ends.
func Kafka(t testing.TB, partitions int32) kafka.Config {
	t.Helper()
	return On(t, kafkatest.Start(t), partitions)
}

// On makes dwell's topics, with so many partitions, on a broker that the test started. What fails ends the test.
func On(t testing.TB, c *kafkatest.Cluster, partitions int32) kafka.Config {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Partitions = c.ListenAddrs(), partitions
	if err := kafka.Ensure(t.Context(), cfg, topics.Builtin()...); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Decider is the engage processor at work.
type Decider struct {
	*stream.Processor
	t    testing.TB
	stop context.CancelFunc
	done chan error // how it ended; closed after that
}

// Decide starts a Decider as an instance of its own, which works until Stop or the end of the test. It
// keeps its rows in dir; an empty dir is in memory. It may not be ready yet.
func Decide(t testing.TB, cluster kafka.Config, instance, dir string) *Decider {
	t.Helper()
	cfg := stream.DefaultConfig()
	cfg.Kafka, cfg.InstanceID, cfg.Dir, cfg.Logger = cluster, instance, dir, slog.New(slog.DiscardHandler)
	p, err := stream.New(cfg, engage.Processor)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &Decider{Processor: p, t: t, stop: stop, done: make(chan error, 1)}
	go func() {
		defer close(d.done)
		d.done <- p.Run(ctx)
	}()
	t.Cleanup(d.Stop)
	return d
}

// Stop ends it in order and waits for that; the test fails if it ended with an error. A second call does nothing.
func (d *Decider) Stop() {
	d.t.Helper()
	d.stop()
	if err := <-d.done; err != nil {
		d.t.Error(err)
	}
}

// Until waits for a condition, and ends the test if it does not come in Patience.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", Patience, what)
		}
	}
}
