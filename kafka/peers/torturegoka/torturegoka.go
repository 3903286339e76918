// Package torturegoka is stock goka on sarama, at its defaults: what `make torture` shows the worth of
// dwell's own driver against. It processes each record at least once.
package torturegoka

import (
	"context"
	"fmt"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
)

// Step is a pure step: a user's row, nil for none, and a record go in; the row and what to emit come out.
type Step func(key string, row, value []byte) (next []byte, out [][]byte, err error)

// Config is a worker's; every field is needed. The table topic is <Group>-table.
type Config struct {
	Brokers              []string
	Group, Input, Output string
	// Dir keeps the local store.
	Dir  string
	Step Step
}

// Run processes until ctx ends, and then returns nil. Input must be partitioned as goka does it: by
// the 32 bit FNV-1a of the key.
func Run(ctx context.Context, c Config) error {
	group := goka.Group(c.Group)
	graph := goka.DefineGroup(group,
		goka.Input(goka.Stream(c.Input), new(codec.Bytes), func(ctx goka.Context, m any) { c.step(ctx, m) }),
		goka.Output(goka.Stream(c.Output), new(codec.Bytes)),
		goka.Persist(new(codec.Bytes)))
	topics := goka.NewTopicManagerConfig()
	topics.Table.Replication = 1
	client := goka.DefaultConfig()
	client.Consumer.Group.Session.Timeout = 6 * time.Second // so that a killed one is missed soon
	client.Consumer.Offsets.Initial = -2                    // from the start, as every stack here
	p, err := goka.NewProcessor(c.Brokers, graph,
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(client)),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithTopicManagerConfig(topics)),
		goka.WithStorageBuilder(storage.DefaultBuilder(c.Dir)))
	if err != nil {
		return fmt.Errorf("set goka up for group %s: %w", c.Group, err)
	}
	if err := p.Run(ctx); err != nil {
		return fmt.Errorf("run goka for group %s: %w", c.Group, err)
	}
	return nil
}

func (c Config) step(ctx goka.Context, m any) {
	row, _ := ctx.Value().([]byte) // nil for a new user
	value, ok := m.([]byte)
	if !ok {
		ctx.Fail(fmt.Errorf("record of user %s has no value", ctx.Key()))
	}
	next, out, err := c.Step(ctx.Key(), row, value)
	if err != nil {
		ctx.Fail(fmt.Errorf("step user %s: %w", ctx.Key(), err))
	}
	ctx.SetValue(next)
	for _, b := range out {
		ctx.Emit(goka.Stream(c.Output), ctx.Key(), b)
	}
}
