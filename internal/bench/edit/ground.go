package edit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/supervise"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/topics"
)

const group = "dwell.engage"

// patience bounds everything that is waited for.
const patience = 2 * time.Minute

// ground is a broker with clients of the measuring process.
type ground struct {
	Config
	plan   plan
	dir    string
	broker *child.Broker
	cfg    kafka.Config
	cl     *kgo.Client
	adm    *kadm.Client
}

func newGround(ctx context.Context, c Config, dir string) (*ground, error) {
	p, err := newPlan(c.Edits)
	if err != nil {
		return nil, err
	}
	g := &ground{Config: c, plan: p, dir: dir, cfg: kafka.DefaultConfig()}
	spec, err := json.Marshal(job{Broker: true})
	if err != nil {
		return nil, fmt.Errorf("write the broker's job: %w", err)
	}
	if g.broker, err = child.StartBroker(ctx, c.Broker, dir, c.Cache, append(slices.Clone(c.Child), string(spec)), c.Say); err != nil {
		return nil, err
	}
	g.cfg.Brokers, g.cfg.Partitions = g.broker.Addrs, c.Partitions
	if err = kafka.Ensure(ctx, g.cfg, topics.Builtin()...); err == nil {
		g.cl, err = g.cfg.NewClient("bench", append(kafka.ProducerOptions(), kgo.MaxBufferedRecords(200_000))...)
	}
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	g.adm = kadm.NewClient(g.cl)
	return g, nil
}

func (g *ground) close() error {
	if g.cl != nil {
		g.cl.Close()
	}
	return g.broker.Stop()
}

// apply does what `dwell apply` does with the campaigns as they are after edit k, and returns when it
// answered: every worker decides by them.
func (g *ground) apply(ctx context.Context, k int) (answered time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := declare.ApplyAll(ctx, g.cfg, tenant, g.plan.docs[k], false); err != nil {
		return answered, fmt.Errorf("edit %d: %w", k, err)
	}
	n, err := declare.Wait(ctx, g.cfg)
	if err == nil && n != g.Workers {
		err = fmt.Errorf("in force in %d workers, there are %d", n, g.Workers)
	}
	if err != nil {
		return answered, fmt.Errorf("edit %d: %w", k, err)
	}
	return time.Now(), nil
}

// crew are the worker processes.
type crew struct {
	sup  supervise.Supervisor
	stop context.CancelFunc
	done chan error
}

// hire starts the workers and returns once they share the partitions.
func (g *ground) hire(ctx context.Context) (*crew, error) {
	var specs []supervise.Spec
	for i := range g.Workers {
		name := fmt.Sprintf("worker-%d", i)
		args := append(slices.Clone(g.Worker[1:]), "--brokers", strings.Join(g.broker.Addrs, ","), "--partitions", fmt.Sprint(g.Partitions),
			"--data", filepath.Join(g.dir, name), "--instance", name, "--admin", "127.0.0.1:0", "--log-level", "warn")
		specs = append(specs, supervise.Spec{Name: name, Path: g.Worker[0], Args: args, Log: filepath.Join(g.dir, name+".log")})
	}
	c := &crew{done: make(chan error, 1)}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go func() { c.done <- c.sup.Run(run, specs, nil) }()
	err := wait(ctx, "the workers share the partitions", func() (bool, error) {
		for _, w := range c.sup.Children() {
			if !w.Ready {
				return false, nil
			}
		}
		return g.shared(ctx)
	})
	if err != nil {
		stop()
		return nil, errors.Join(err, <-c.done)
	}
	return c, nil
}

// shared says whether every worker of the group has partitions and nobody is waited for.
func (g *ground) shared(ctx context.Context) (bool, error) {
	found, err := g.adm.DescribeGroups(ctx, group)
	if err != nil {
		return false, nil //nolint:nilerr // the group, or its coordinator, is still starting
	}
	d := found[group]
	return d.State == "Stable" && len(d.Members) == g.Workers && len(d.AssignedPartitions()[topics.Events.Name]) == int(g.Partitions), nil
}

// dismiss ends the workers in order. One that had to be started again is a fault of the run.
func (c *crew) dismiss(r *Report) error {
	for _, w := range c.sup.Children() {
		r.Restarts += w.Restarts
	}
	c.stop()
	return <-c.done
}

// settled waits until all events are decided.
func (g *ground) settled(ctx context.Context) error {
	return wait(ctx, "all events are decided", func() (bool, error) {
		ends, err := g.adm.ListEndOffsets(ctx, topics.Events.Name)
		if err != nil {
			return false, fmt.Errorf("find the ends of the events: %w", err)
		}
		at, err := g.adm.FetchOffsets(ctx, group)
		if err != nil {
			return false, fmt.Errorf("ask what %s has committed: %w", group, err)
		}
		behind := int64(0)
		ends.Each(func(e kadm.ListedOffset) {
			o, _ := at.Lookup(e.Topic, e.Partition)
			behind += e.Offset - max(o.At, 0)
		})
		return behind == 0, nil
	})
}

// wait asks every few milliseconds until it is so.
func wait(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
	}
}
