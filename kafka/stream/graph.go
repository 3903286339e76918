package stream

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/handle"
	"github.com/dwellhq/dwell/kafka/stream/placement"
	"github.com/dwellhq/dwell/kafka/stream/recovery"
	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/kafka/stream/table"
)

// batch is what one message of goka's stands for: records of one input, or wakes.
type batch struct {
	part    *table.Partition
	input   int
	records []*kgo.Record
	// wakeMS, if set, makes it a batch of wakes up to that time, Unix ms.
	wakeMS int64
}

// wakesPerBatch bounds a batch of wakes, and with it the transaction.
const wakesPerBatch = 10_000

// wakeTopic is an input that exists in the driver only: wakes reach goka through it.
func (p *Processor) wakeTopic() string { return p.group + "-wake" }

func (p *Processor) graph() *goka.GroupGraph {
	step := func(_ goka.Context, msg any) {
		b, ok := msg.(batch)
		switch {
		case !ok: // of a session that is over
		case b.wakeMS != 0:
			b.part.Wake(b.wakeMS, wakesPerBatch)
		default:
			b.part.Step(b.input, b.records)
		}
	}
	codec := batchCodec{&p.batches}
	edges := []goka.Edge{goka.Persist(rawCodec{})}
	for _, in := range p.def.Inputs {
		if in == p.def.Loop { // goka takes its name for no ordinary input
			edges = append(edges, goka.Loop(codec, step))
			continue
		}
		edges = append(edges, goka.Input(goka.Stream(in.Name), codec, step))
	}
	if p.def.Wakes {
		edges = append(edges, goka.Input(goka.Stream(p.wakeTopic()), codec, step))
	}
	return goka.DefineGroup(goka.Group(p.group), edges...)
}

// options plug franz-go into everything of goka's that reaches a broker. goka's interfaces know no
// context, so that of Run goes in here.
func (p *Processor) options(ctx context.Context, partitions int) []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithClientID(p.clientID()),
		goka.WithLogger(gokaLog{p.log}),
		goka.WithHasher(placement.Hasher),
		goka.WithUpdateCallback(restore),
		goka.WithStorageBuilder(func(topic string, number int32) (storage.Storage, error) { return p.open(ctx, topic, number) }),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return noProducer{}, nil }),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return topicManager{p, ctx, partitions}, nil }),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) {
			return recovery.New(p.cfg.Kafka, p.clientID(), p.log, &p.restored), nil
		}),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) {
			return newGroup(p), nil
		}),
	}
}

// open makes a partition: from this worker's copy if it stood by for it, else over its local store.
func (p *Processor) open(ctx context.Context, topic string, number int32) (storage.Storage, error) {
	t, err := p.inherit(ctx, topic, number)
	if err == nil && t == nil {
		t, err = p.openTable(ctx, topic, number)
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts[number] = t
	return &gokaStore{p: p, t: t}, nil
}

// inherit takes the copy of a partition; nil: there is none, or none that this table carries on.
func (p *Processor) inherit(ctx context.Context, topic string, number int32) (*table.Partition, error) {
	t := p.standby.Load().Take(number)
	if t == nil {
		return nil, nil
	}
	id, span, err := p.extent(ctx, topic, number)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if !t.Fits(id, span.Start, span.End) {
		return nil, t.Close()
	}
	t.Expect(span.End)
	return t, nil
}

// extent finds which topic a name stands for now, and where a partition of it begins and ends.
func (p *Processor) extent(ctx context.Context, topic string, number int32) (id [16]byte, span broker.Span, err error) {
	if id, _, err = p.admin.Topic(ctx, topic, topicAppears); err == nil {
		span, err = p.admin.Span(ctx, topic, number)
	}
	return id, span, err
}

// openTable makes a partition over its local store. A store that cannot be of this topic, because the
// topic was made anew or ends before the store does, or lost records that the store has not seen, is
// emptied.
func (p *Processor) openTable(ctx context.Context, topic string, number int32) (*table.Partition, error) {
	id, span, err := p.extent(ctx, topic, number)
	if err != nil {
		return nil, err
	}
	s := store.Memory()
	if p.cfg.Dir != "" {
		if s, err = store.Open(filepath.Join(p.stores(), strconv.Itoa(int(number))), p.cache, p.log); err != nil {
			return nil, err
		}
	}
	if !s.Fits(id, span.Start, span.End) {
		if s.Offset() >= 0 {
			p.log.Warn("the local store is not of this table: reading the table whole", "topic", topic, "partition", number,
				"stored_offset", s.Offset(), "end_offset", span.End)
		}
		if err := s.Reset(id); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	t := table.New(p.shared, number, s)
	t.Expect(span.End)
	return t, nil
}

// stores is the folder of the local stores; empty: there are none.
func (p *Processor) stores() string {
	if p.cfg.Dir == "" {
		return ""
	}
	return filepath.Join(p.cfg.Dir, p.group)
}

// restore is goka's update callback: a message stands for a batch of the table's records. s is goka's
// wrapping of a gokaStore, and Set the way through.
func restore(_ goka.UpdateContext, s storage.Storage, _ string, value []byte) error {
	return s.Set("", value)
}

// gokaStore shows a partition to goka, which uses it in recovery only.
type gokaStore struct {
	p      *Processor
	t      *table.Partition
	logged time.Time
}

// Set implements storage.Storage: value is the handle of a batch to restore.
func (s *gokaStore) Set(_ string, value []byte) error {
	b, ok := s.p.restored.Take(value)
	if !ok {
		return errors.New("recovery: a batch of a session that is over")
	}
	if now := time.Now(); now.Sub(s.logged) > logEvery {
		if !s.logged.IsZero() {
			s.log("recovering")
		}
		s.logged = now
	}
	return s.t.Restore(b.Records, b.Last)
}

// logEvery is how often a long recovery is logged.
const logEvery = 5 * time.Second

func (s *gokaStore) log(what string) {
	g := s.t.Progress()
	s.p.log.Info(what, "topic", s.p.shared.Topic, "partition", s.t.Number(), "rows", g.Rows, "offsets_to_go", g.ToGo, "rows_per_second", int64(g.RowsPerSecond))
}

// GetOffset implements storage.Storage.
func (s *gokaStore) GetOffset(none int64) (int64, error) {
	if o := s.t.Offset(); o >= 0 {
		return o, nil
	}
	return none, nil
}

// SetOffset implements storage.Storage: Set wrote the offset with the rows.
func (s *gokaStore) SetOffset(int64) error { return nil }

// MarkRecovered implements storage.Storage. A store that cannot be read is empty once it was closed: the
// next try reads the table whole.
func (s *gokaStore) MarkRecovered() error {
	err := s.t.Ready()
	if err == nil && s.t.Progress().Rows > 0 {
		s.log("recovered")
	}
	return err
}

// Open implements storage.Storage.
func (s *gokaStore) Open() error { return nil }

// Close implements storage.Storage.
func (s *gokaStore) Close() error {
	s.p.mu.Lock()
	if s.p.parts[s.t.Number()] == s.t {
		delete(s.p.parts, s.t.Number())
	}
	s.p.mu.Unlock()
	return s.t.Close()
}

// errUnused answers what goka never asks, because steps do not go through its context.
var errUnused = errors.New("stream: not available through goka")

// Has implements storage.Storage.
func (s *gokaStore) Has(string) (bool, error) { return false, errUnused }

// Get implements storage.Storage.
func (s *gokaStore) Get(string) ([]byte, error) { return nil, errUnused }

// Delete implements storage.Storage.
func (s *gokaStore) Delete(string) error { return errUnused }

// Iterator implements storage.Storage.
func (s *gokaStore) Iterator() (storage.Iterator, error) { return nil, errUnused }

// IteratorWithRange implements storage.Storage.
func (s *gokaStore) IteratorWithRange(_, _ []byte) (storage.Iterator, error) { return nil, errUnused }

// batchCodec resolves handles. A handle that is void decodes to nil: its session is over.
type batchCodec struct{ batches *handle.Registry[batch] }

// Decode implements goka.Codec.
func (c batchCodec) Decode(b []byte) (any, error) {
	if v, ok := c.batches.Take(b); ok {
		return v, nil
	}
	return nil, nil
}

// Encode implements goka.Codec.
func (c batchCodec) Encode(any) ([]byte, error) { return nil, errUnused }

// rawCodec stands where goka wants a codec for rows.
type rawCodec struct{}

// Decode implements goka.Codec.
func (rawCodec) Decode(b []byte) (any, error) { return b, nil }

// Encode implements goka.Codec.
func (rawCodec) Encode(any) ([]byte, error) { return nil, errUnused }

// noProducer stands where goka wants a producer: the driver produces.
type noProducer struct{}

// Emit implements goka.Producer.
func (noProducer) Emit(string, string, []byte) *goka.Promise { return refused() }

// EmitWithHeaders implements goka.Producer.
func (noProducer) EmitWithHeaders(string, string, []byte, goka.Headers) *goka.Promise {
	return refused()
}

// Close implements goka.Producer.
func (noProducer) Close() error { return nil }

func refused() *goka.Promise {
	_, finish := goka.NewPromiseWithFinisher()
	return finish(nil, errUnused)
}

// gokaLog makes goka's lines debug lines of ours.
type gokaLog struct{ log *slog.Logger }

// Print implements goka.Logger.
func (l gokaLog) Print(a ...any) { l.log.Debug("goka: " + fmt.Sprint(a...)) }

// Println implements goka.Logger.
func (l gokaLog) Println(a ...any) { l.log.Debug("goka: " + fmt.Sprint(a...)) }

// Printf implements goka.Logger.
func (l gokaLog) Printf(format string, a ...any) { l.log.Debug("goka: " + fmt.Sprintf(format, a...)) }
