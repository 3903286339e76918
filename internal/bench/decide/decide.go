// Package decide measures what it costs to decide: a hundred live campaigns over the events of many
// users, by the engage processor alone and in a worker on a broker, and Flink CEP beside it on the same
// records. What enters is a Config; what leaves is a Report, in which every verdict of the worker was
// held against those of the processor alone.
//
// The clock and the CPU time of a stack run from its first commit to the one that covers all input, as
// package core says. No stack sees the input before it runs; all of it is in the broker then.
package decide

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Config says what to measure. The tags are for cmd.
type Config struct {
	Broker     string        `help:"Broker: embedded (kfake), or real (an Apache Kafka, needs Java). It is the bench's own." default:"real" enum:"embedded,real"`
	N          int           `help:"Events." short:"n" default:"2000000"`
	Users      int           `help:"Users that events are drawn from, by a Zipf distribution." default:"1000000"`
	Rounds     int           `help:"Rounds, the stacks in turn; the median one by events/s is shown." default:"1"`
	Peers      []string      `help:"Stacks: dwell, flink; none: only the processor alone, without a broker." default:"dwell,flink" enum:"dwell,flink,none"`
	Partitions int32         `help:"Partitions." default:"8"`
	Interval   time.Duration `help:"Commit interval of dwell." default:"20ms"`
	Checkpoint time.Duration `help:"Checkpoint interval of flink, which is also how often its sink commits." default:"1s"`
	Warm       time.Duration `help:"How long a real broker, whose JVM compiles meanwhile, is warmed up first: whole rounds of dwell, at least one." default:"45s"`
	Cache      string        `help:"Folder of fetched parts; empty: the user's cache." env:"DWELL_CACHE" type:"path"`
	// Profile is for looking into dwell: the worker writes where its CPU time and its memory went.
	Profile string `help:"Folder for pprof profiles of the processor alone and of the worker; empty: none." type:"path"`

	// Child is the command that calls Child with the argument appended to it.
	Child []string `kong:"-"`
	// Say gets a line for people now and then.
	Say func(string) `kong:"-"`
}

// The stacks, by the names that Config.Peers takes.
const (
	Dwell = "dwell"
	Flink = "flink"
)

func (c Config) validate() error {
	var faults []error
	if c.N < 1 || c.Users < 1 || c.Partitions < 1 || c.Rounds < 1 {
		faults = append(faults, fmt.Errorf("%d events of %d users in %d partitions, %d rounds: at least one each", c.N, c.Users, c.Partitions, c.Rounds))
	}
	if c.Interval < time.Millisecond || c.Checkpoint < time.Millisecond {
		faults = append(faults, fmt.Errorf("intervals: %v and %v, at least 1ms each", c.Interval, c.Checkpoint))
	}
	return errors.Join(faults...)
}

// stacks are the peers to run, without those that cannot run here; Say is told of these.
func (c Config) stacks(ctx context.Context) (names []string, flink *child.Java, err error) {
	for _, s := range c.Peers {
		switch s {
		case Dwell:
			names = append(names, s)
		case Flink:
			if c.Broker != child.RealBroker {
				c.Say("skipping flink: Kafka's Java client stumbles over nulls in answers of kfake, the embedded broker; use --broker real")
				continue
			}
			flink, err = flinkPeer().Build(ctx, c.Cache, c.Say)
			if errors.Is(err, child.ErrNoJava) {
				c.Say("skipping flink: " + err.Error())
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			names = append(names, s)
		}
	}
	return names, flink, nil
}

// warm runs rounds of the worker, of which nothing is shown. One that fails fails again when it counts.
func (g *ground) warm(ctx context.Context, want *outcome) {
	g.Say("warming the broker up")
	for end := time.Now().Add(g.Warm); ; {
		if s := g.once(ctx, Dwell, want); s.Error != "" || !time.Now().Before(end) {
			return
		}
	}
}

// Run measures. A stack that fails does not keep the others from running: its Stack says so.
func (c Config) Run(ctx context.Context) (r *Report, err error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.Say == nil {
		c.Say = func(string) {}
	}
	plans := Plans()
	in := input{plans: plans, n: c.N, users: c.Users, partitions: c.Partitions, from: time.Now().Add(-time.Minute).UnixMilli() - int64(c.N)*eventEveryMS}
	c.Say(fmt.Sprintf("the processor alone: %d campaigns, %d events of up to %d users", len(plans), c.N, c.Users))
	r, want, err := in.alone(ctx, c.Profile)
	if err != nil {
		return nil, err
	}
	names, flink, err := c.stacks(ctx)
	if err != nil || len(names) == 0 {
		return r, err
	}
	dir, err := os.MkdirTemp("", "dwell-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g, err := newGround(ctx, c, in, dir, flink)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	r.Broker = c.Broker
	if c.Broker == child.RealBroker {
		g.warm(ctx, want)
	}
	rounds := map[string][]Stack{}
	for round := range c.Rounds {
		for _, s := range names {
			c.Say(fmt.Sprintf("round %d of %d: %s", round+1, c.Rounds, s))
			got := g.once(ctx, s, want)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			rounds[s] = append(rounds[s], got)
		}
	}
	for _, s := range names {
		r.Stacks = append(r.Stacks, median(rounds[s]))
	}
	slices.SortStableFunc(r.Stacks, func(a, b Stack) int { return slices.Index(names, a.Name) - slices.Index(names, b.Name) })
	return r, nil
}
