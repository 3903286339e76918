// Package drain feeds sinks from Kafka, each record exactly once: committed records enter in ranges,
// one insert a range leaves, and what may have been inserted is written into the offset commit's
// metadata before it is. Whoever owns a partition next inserts those ranges again with the same
// tokens, which the sink swallows where they had landed. The protocol's pure part is in sinks.
package drain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/sinks"
)

// Config says how pipelines are drained.
type Config struct {
	Kafka kafka.Config `embed:""`
	// SessionTimeout is after how long without a heartbeat another instance takes over; brokers
	// take 6 s to 30 min by default.
	SessionTimeout time.Duration `help:"Silence after which another sink takes over." env:"DWELL_SINK_SESSION_TIMEOUT" default:"10s"`
	// Grace is how long an insert under way may take to end when the partition is handed over.
	Grace time.Duration `help:"Time for a running insert when partitions move or the sink stops." env:"DWELL_SINK_GRACE" default:"5s"`
	// WriteTimeout bounds one attempt of an insert.
	WriteTimeout time.Duration `help:"Time limit of one insert." env:"DWELL_SINK_WRITE_TIMEOUT" default:"1m"`
	// Backoff is the longest pause between attempts; the first is 50 ms.
	Backoff time.Duration `help:"Longest pause between attempts." env:"DWELL_SINK_BACKOFF" default:"15s"`
	// Log is nil for slog.Default.
	Log *slog.Logger `kong:"-"`
	// Landed, if set, is called after each insert that a sink acknowledged, with how long that took,
	// retries included. It is called from many goroutines and must be quick.
	Landed func(b sinks.Batch, took time.Duration) `kong:"-"`
}

// DefaultConfig drains from a broker on this machine.
func DefaultConfig() Config {
	return Config{Kafka: kafka.DefaultConfig(), SessionTimeout: 10 * time.Second, Grace: 5 * time.Second, WriteTimeout: time.Minute, Backoff: 15 * time.Second}
}

// Validate reports every fault.
func (c Config) Validate() error {
	faults := []error{c.Kafka.Validate()}
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"session timeout", c.SessionTimeout, time.Second, 30 * time.Minute},
		{"grace", c.Grace, 0, 30 * time.Second},
		{"write timeout", c.WriteTimeout, time.Second, 10 * time.Minute},
		{"backoff", c.Backoff, 50 * time.Millisecond, 10 * time.Minute},
	} {
		if d.value < d.min || d.value > d.max {
			faults = append(faults, fmt.Errorf("%s: %s is not within %s to %s", d.name, d.value, d.min, d.max))
		}
	}
	return errors.Join(faults...)
}

// State of a partition.
type State string

// The states.
const (
	// Replaying what an owner before left pending.
	Replaying State = "replaying"
	// Draining: all is well.
	Draining State = "draining"
	// Waiting for a sink that is away or busy.
	Waiting State = "waiting"
	// Stopped by a fault; it stays stopped until somebody acts and restarts it.
	Stopped State = "stopped"
)

// PartitionStatus is one partition that this process owns.
type PartitionStatus struct {
	Pipeline  string
	Topic     string
	Partition int32
	State     State
	// Confirmed is the first offset that is not certainly in the sink.
	Confirmed int64
	// Rows and Poison count since the partition came to this process.
	Rows, Poison int64
	// Fault is the newest one, empty if all is well; it says what to do.
	Fault string
}

// Drain runs pipelines. Use New.
type Drain struct {
	cfg       Config
	pipelines []*pipeline
	ready     chan struct{}
}

// pipeline is one sinks.Pipeline at work.
type pipeline struct {
	sinks.Pipeline
	cfg   Config
	log   *slog.Logger
	ready chan struct{}
	once  sync.Once

	mu    sync.Mutex
	owned []*partition
}

// New checks the configuration; Run connects.
func New(cfg Config, pipelines ...sinks.Pipeline) (*Drain, error) {
	faults := []error{cfg.Validate()}
	if len(pipelines) == 0 {
		faults = append(faults, errors.New("no pipeline"))
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	d := &Drain{cfg: cfg, ready: make(chan struct{})}
	names := map[string]bool{}
	for _, p := range pipelines {
		faults = append(faults, p.Validate())
		if names[p.Name] {
			faults = append(faults, fmt.Errorf("pipeline %s: given twice", p.Name))
		}
		names[p.Name] = true
		d.pipelines = append(d.pipelines, &pipeline{Pipeline: p, cfg: cfg, log: cfg.Log.With("pipeline", p.Name), ready: make(chan struct{})})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("drain: %w", err)
	}
	return d, nil
}

// Run drains until ctx ends, and then returns nil. An insert under way may end within the grace;
// what does not stays an intent that the next owner completes. Outages of the brokers and of the
// sinks are waited out. An error means that a sink's Check refused.
func (d *Drain) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range d.pipelines {
		g.Go(func() error { return p.run(ctx) })
	}
	g.Go(func() error {
		for _, p := range d.pipelines {
			select {
			case <-p.ready:
			case <-ctx.Done():
				return nil
			}
		}
		close(d.ready)
		return nil
	})
	return g.Wait()
}

// Ready is closed once every pipeline has joined its group and has dealt with what earlier owners
// left pending in its partitions. A partition that stopped counts as dealt with; see Status.
func (d *Drain) Ready() <-chan struct{} { return d.ready }

// Status lists the partitions that this process owns now.
func (d *Drain) Status() []PartitionStatus {
	var all []PartitionStatus
	for _, p := range d.pipelines {
		p.mu.Lock()
		for _, w := range p.owned {
			all = append(all, w.snapshot())
		}
		p.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Pipeline, b.Pipeline), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

// run opens one session after the other: a session ends when the fate of a commit is unknown.
func (p *pipeline) run(ctx context.Context) error {
	if err := p.check(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	pause := backoff{most: p.cfg.Backoff}
	for ctx.Err() == nil {
		began := time.Now()
		err := p.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.log.Warn("sink session ended, opening another", "err", err)
		if time.Since(began) > time.Minute {
			pause = backoff{most: p.cfg.Backoff}
		}
		pause.wait(ctx)
	}
	return nil
}

// check asks the sink until it answers.
func (p *pipeline) check(ctx context.Context) error {
	pause := backoff{most: p.cfg.Backoff}
	for {
		one, cancel := context.WithTimeout(ctx, p.cfg.WriteTimeout)
		err := p.Sink.Check(one)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case !errors.Is(err, sinks.ErrRetry):
			return fmt.Errorf("pipeline %s: the sink cannot be used: %w", p.Name, err)
		}
		p.log.Warn("sink does not answer, trying again", "err", err)
		pause.wait(ctx)
	}
}
