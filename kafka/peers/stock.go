// Package peers runs goka as it comes, with sarama and leveldb, for benchmarks to compare with. Events
// go in; rows, their table topic and actions come out, at least once. Nothing of dwell's own path uses
// it; it lies here because goka and sarama are known below kafka only.
package peers

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"

	"github.com/dwellhq/dwell/schemas"
)

// Stock is a processor on goka's defaults. Three settings differ from them, none of which makes it
// slower: a group without a commit starts at the oldest record, the table's replicas are as many as
// Replicas says, and goka logs nothing.
type Stock[S any] struct {
	Brokers []string
	// Group names the processor; its table is Group + "-table".
	Group string
	// Input and Output are topics. The input's records must lie where FNV-1a of their keys says: that
	// is goka's default, and not that of other Kafka clients.
	Input, Output string
	// Replicas of the table, if it has to be made.
	Replicas int
	// Dir holds leveldb.
	Dir string
	// Row encodes a row.
	Row schemas.Codec[*S]
	// Step changes the row by an event with its record's time, and returns the value of a record to
	// emit under the event's key; nil: none.
	Step func(row *S, at time.Time, event []byte) []byte
}

// Run processes until ctx ends, and then returns nil.
func (s Stock[S]) Run(ctx context.Context) error {
	out := goka.Stream(s.Output)
	step := func(c goka.Context, msg any) {
		row, ok := c.Value().(*S)
		if !ok {
			row = new(S)
		}
		action := s.Step(row, c.Timestamp(), msg.([]byte))
		c.SetValue(row)
		if action != nil {
			c.Emit(out, c.Key(), action)
		}
	}
	graph := goka.DefineGroup(goka.Group(s.Group), goka.Input(goka.Stream(s.Input), new(codec.Bytes), step),
		goka.Output(out, new(codec.Bytes)), goka.Persist(rowCodec[S]{s.Row}))
	conf := goka.DefaultConfig()
	conf.Consumer.Offsets.Initial = sarama.OffsetOldest
	tables := goka.NewTopicManagerConfig()
	tables.Table.Replication, tables.Stream.Replication = s.Replicas, s.Replicas
	p, err := goka.NewProcessor(s.Brokers, graph,
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(conf)),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithTopicManagerConfig(tables)),
		goka.WithStorageBuilder(storage.DefaultBuilder(s.Dir)),
		goka.WithLogger(silent{}))
	if err != nil {
		return fmt.Errorf("set stock goka up: %w", err)
	}
	if err := p.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run stock goka: %w", err)
	}
	return nil
}

// rowCodec is a schemas.Codec as goka wants it.
type rowCodec[S any] struct{ rows schemas.Codec[*S] }

// Encode implements goka.Codec.
func (c rowCodec[S]) Encode(v any) ([]byte, error) { return c.rows.Append(nil, v.(*S)) }

// Decode implements goka.Codec.
func (c rowCodec[S]) Decode(b []byte) (any, error) { return c.rows.Decode(b) }

// silent is a goka.Logger.
type silent struct{}

// Print implements goka.Logger.
func (silent) Print(...any) {}

// Println implements goka.Logger.
func (silent) Println(...any) {}

// Printf implements goka.Logger.
func (silent) Printf(string, ...any) {}
