package decide

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// job is what a child process is to do. It reaches the process as JSON.
type job struct {
	// Broker: be the embedded one; else the worker.
	Broker     bool          `json:"broker,omitempty"`
	Brokers    []string      `json:"brokers,omitempty"`
	Partitions int32         `json:"partitions,omitempty"`
	Dir        string        `json:"dir,omitempty"`
	Interval   time.Duration `json:"interval_ns,omitempty"`
	// Name of the processor, a new one for each round: it names the group and the table.
	Name    string `json:"name,omitempty"`
	Profile string `json:"profile,omitempty"`
}

// Child does one job, given as JSON, for a measuring process, as child.Serve says. Only Run starts
// children.
func Child(ctx context.Context, spec string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	return child.Serve(ctx, in, out, func(ctx context.Context, say *child.Speaker) error {
		if j.Broker {
			return child.Embedded(ctx, say)
		}
		return j.work(ctx)
	})
}

// work is a worker with the engage processor, under a name of its own.
func (j job) work(ctx context.Context) (err error) {
	prof, err := profile(j.Profile, "worker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, prof()) }()
	def := *engage.Processor
	def.Name = j.Name
	cfg := stream.DefaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Partitions = j.Brokers, j.Partitions
	cfg.Dir, cfg.InstanceID, cfg.Interval = j.Dir, "bench", j.Interval
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := stream.New(cfg, &def)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// settle is how long the deadlines up to the last record may take once all is committed.
const settle = 60 * time.Second

// dwell is one round of the worker.
func (g *ground) dwell(ctx context.Context, s *Stack, want *outcome) error {
	name := fmt.Sprintf("engage-%d", g.runs)
	g.runs++
	j := job{Brokers: g.broker.Addrs, Partitions: g.Partitions, Dir: filepath.Join(g.dir, name), Interval: g.Interval, Name: name, Profile: g.Profile}
	if err := os.MkdirAll(j.Dir, 0o755); err != nil {
		return fmt.Errorf("make a folder for the worker: %w", err)
	}
	defer os.RemoveAll(j.Dir)
	before, err := g.ends(ctx)
	if err != nil {
		return err
	}
	argv, err := g.child(j)
	if err != nil {
		return err
	}
	p, err := child.Start("the worker", j.Dir, argv)
	if err != nil {
		return err
	}
	first, last, err := child.Watch(ctx, p, g.broker.Pid, int64(g.in.n), func(ctx context.Context) (int64, error) {
		return child.Committed(ctx, g.adm, "dwell."+name, topics.Events.Name)
	})
	rss := child.PeakRSS(p.Pid())
	if err == nil {
		err = g.settled(ctx, p, before, want)
	}
	if err = errors.Join(err, p.Stop()); err != nil {
		return err
	}
	s.fill(first, last, rss)
	got, err := g.read(ctx, before, want.untilMS)
	if err != nil {
		return err
	}
	s.Facts, s.Verdicts = got.facts, got.verdicts
	s.Wrong = got.facts != want.facts || got.ids != want.ids || got.total() != want.total()
	return nil
}

// settled waits until the deadlines up to the last record are decided. Too few verdicts are no error:
// the round is wrong then.
func (g *ground) settled(ctx context.Context, p *child.Process, before starts, want *outcome) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(settle); time.Now().Before(end); {
		got, err := g.read(ctx, before, want.untilMS)
		if err != nil || got.total() >= want.total() {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := p.Alive(); err != nil {
			return err
		}
	}
	return nil
}

// read is what a round has left in the broker: what lies after before.
func (g *ground) read(ctx context.Context, before starts, untilMS int64) (*outcome, error) {
	o := &outcome{verdicts: map[string]int64{}, untilMS: untilMS}
	err := kafka.ReadAll(ctx, g.cfg, topics.Verdicts.Spec, func(e kafka.Entry) error {
		if e.At.Offset < before[place{e.At.Topic, e.At.Partition}] {
			return nil
		}
		v, err := topics.Verdicts.Codec.Decode(e.Value)
		if err == nil {
			o.add(v)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the verdicts: %w", err)
	}
	err = kafka.ReadAll(ctx, g.cfg, topics.Facts.Spec, func(e kafka.Entry) error {
		if e.At.Offset < before[place{e.At.Topic, e.At.Partition}] {
			return nil
		}
		b, err := schemas.FactBlocks{}.Unpack(e.Value)
		if err == nil {
			o.facts += int64(b.Len())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the facts: %w", err)
	}
	return o, nil
}
