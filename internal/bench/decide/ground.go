package decide

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/topics"
)

// ground is a broker with the campaigns and the events in it, and clients of the measuring process.
type ground struct {
	Config
	in     input
	dir    string
	broker *child.Broker
	cfg    kafka.Config
	cl     *kgo.Client
	adm    *kadm.Client
	flink  *child.Java
	runs   int
}

func newGround(ctx context.Context, c Config, in input, dir string, flink *child.Java) (g *ground, err error) {
	g = &ground{Config: c, in: in, dir: dir, flink: flink}
	self, err := g.child(job{Broker: true})
	if err != nil {
		return nil, err
	}
	if g.broker, err = child.StartBroker(ctx, c.Broker, dir, c.Cache, self, c.Say); err != nil {
		return nil, err
	}
	if err := g.fill(ctx); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// fill makes the topics and writes the campaigns and the events.
func (g *ground) fill(ctx context.Context) (err error) {
	g.cfg = kafka.DefaultConfig()
	g.cfg.Brokers, g.cfg.Partitions = g.broker.Addrs, g.Partitions
	if err := kafka.Ensure(ctx, g.cfg, append(topics.Builtin(), &topics.Spec{Name: flinkMatches})...); err != nil {
		return fmt.Errorf("make the bench's topics: %w", err)
	}
	if g.cl, err = g.cfg.NewClient("bench", append(kafka.ProducerOptions(), kgo.MaxBufferedRecords(200_000))...); err != nil {
		return err
	}
	g.adm = kadm.NewClient(g.cl)
	for _, d := range declarations(g.in.plans) {
		b, err := topics.Declarations.Codec.Append(nil, d)
		if err == nil {
			err = g.cl.ProduceSync(ctx, &kgo.Record{Topic: topics.Declarations.Name, Key: []byte(declarationKey(d)), Value: b}).FirstErr()
		}
		if err != nil {
			return fmt.Errorf("write the campaigns: %w", err)
		}
	}
	return g.events(ctx)
}

func (g *ground) events(ctx context.Context) error {
	g.Say(fmt.Sprintf("writing %d events into %d partitions", g.N, g.Partitions))
	var failed child.FirstError
	for f := g.in.feed(); failed.Get() == nil; {
		r, _, ok, err := f.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		rec := &kgo.Record{Topic: topics.Events.Name, Key: []byte(r.key), Value: r.value, Timestamp: time.UnixMilli(r.ms)}
		g.cl.Produce(ctx, rec, failed.Produced)
	}
	if err := errors.Join(g.cl.Flush(ctx), failed.Get()); err != nil {
		return fmt.Errorf("write the events: %w", err)
	}
	return nil
}

// close ends the broker.
func (g *ground) close() error {
	if g.cl != nil {
		g.cl.Close()
	}
	return g.broker.Stop()
}

// child is the command line of a child process with a job.
func (g *ground) child(j job) ([]string, error) {
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write the job of %s: %w", j.Name, err)
	}
	return append(append([]string{}, g.Child...), string(spec)), nil
}

// once is one round of a stack.
func (g *ground) once(ctx context.Context, stack string, want *outcome) Stack {
	s := Stack{Name: stack, Guarantee: "exactly once", Campaigns: len(g.in.plans)}
	var err error
	switch stack {
	case Dwell:
		err = g.dwell(ctx, &s, want)
	case Flink:
		err = g.cep(ctx, &s)
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// place is a partition; starts says where in each something begins.
type place struct {
	topic     string
	partition int32
}
type starts map[place]int64

// ends are where the topics that stacks write to end now.
func (g *ground) ends(ctx context.Context) (starts, error) {
	list, err := g.adm.ListEndOffsets(ctx, topics.Verdicts.Name, topics.Facts.Name, flinkMatches)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("find the ends of the outputs: %w", err)
	}
	all := starts{}
	list.Each(func(o kadm.ListedOffset) { all[place{o.Topic, o.Partition}] = o.Offset })
	return all, nil
}
