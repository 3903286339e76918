// Package edit measures how soon an edit of a live campaign is live everywhere, and proves what it must not
// cost: a pair of workers decides a steady stream of events while campaigns are applied again and again.
// What enters is a configuration; what leaves is a report. Nothing is left behind.
package edit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Config of a run. The tags are for cmd.
type Config struct {
	Broker     string        `help:"embedded (kfake, in memory) or real (Apache Kafka of one node; needs Java, and Maven once); the bench's own." enum:"embedded,real" default:"real"`
	Rate       int           `help:"Events a second." default:"20000"`
	Edits      int           `help:"How often the campaigns are edited." default:"10"`
	Every      time.Duration `help:"From one edit to the next." default:"2s"`
	Workers    int           `help:"Worker processes." default:"2"`
	Users      int           `help:"Users that the events are of." default:"100000"`
	Partitions int32         `help:"Partitions." default:"8"`
	Cache      string        `help:"Folder that keeps what was fetched; empty: the user's cache folder." env:"DWELL_CACHE" type:"path"`

	// Child is the command line of the broker's process, without its job; Worker that of a worker's, without
	// its flags.
	Child  []string `kong:"-"`
	Worker []string `kong:"-"`
	// Say prints a line for people.
	Say func(string) `kong:"-"`
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	for _, f := range []struct {
		name     string
		is, most int
	}{{"rate", c.Rate, 10_000_000}, {"edits", c.Edits, 1000}, {"workers", c.Workers, 100}, {"users", c.Users, 100_000_000}, {"partitions", int(c.Partitions), 1000}} {
		if f.is < 1 || f.is > f.most {
			faults = append(faults, fmt.Errorf("%s: %d is not within 1 to %d", f.name, f.is, f.most))
		}
	}
	if c.Every < 100*time.Millisecond || c.Every > time.Hour {
		faults = append(faults, fmt.Errorf("every: %v is not within 100ms to 1h", c.Every))
	}
	if int(c.Partitions) < c.Workers {
		faults = append(faults, fmt.Errorf("workers: %d workers share %d partitions, so some would have none", c.Workers, c.Partitions))
	}
	return errors.Join(faults...)
}

// job is what a child process is to do: be the embedded broker.
type job struct {
	Broker bool `json:"broker"`
}

// Child does one job, given as JSON, for a measuring process, as child.Serve says. Only Run starts children.
func Child(ctx context.Context, spec string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	return child.Serve(ctx, in, out, child.Embedded)
}

// Run measures once. An error says that it could not; that a guarantee was broken is in the report.
func (c Config) Run(ctx context.Context) (r *Report, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dwell-bench-edit-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g, err := newGround(ctx, c, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	r = &Report{Workers: c.Workers, Partitions: c.Partitions}
	crew, err := g.hire(ctx)
	if err != nil {
		return nil, err
	}
	err = g.measure(ctx, r)
	if err = errors.Join(err, crew.dismiss(r)); err != nil {
		return nil, err
	}
	c.Say("comparing with the processor alone and with the journal")
	return r, g.check(ctx, r)
}

// measure edits the campaigns under load.
func (g *ground) measure(ctx context.Context, r *Report) (err error) {
	if _, err := g.apply(ctx, 0); err != nil {
		return err
	}
	w, err := g.watch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	l := g.load(ctx)
	defer func() { err = errors.Join(err, l.stop(r)) }()
	if _, err := w.everywhere(ctx, g.plan.version(probe, 0)); err != nil {
		return err
	}
	tick := time.NewTicker(g.Every)
	defer tick.Stop()
	for k := 1; k <= g.Edits; k++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		began := time.Now()
		answered, err := g.apply(ctx, k)
		if err != nil {
			return err
		}
		e := Edit{Version: g.plan.version(probe, k), AnswerMS: ms(answered.Sub(began))}
		for _, name := range []string{probe, gate} {
			last, err := w.everywhere(ctx, g.plan.version(name, k))
			if err != nil {
				return err
			}
			e.EverywhereMS = max(e.EverywhereMS, ms(last.Sub(began)))
		}
		g.Say(fmt.Sprintf("edit %d: answered after %.0f ms, live everywhere after %.0f ms", k, e.AnswerMS, e.EverywhereMS))
		r.Edits = append(r.Edits, e)
	}
	select {
	case <-tick.C: // the last version decides for as long as the others
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := l.end(); err != nil {
		return err
	}
	return g.settled(ctx)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
