package kafka

import (
	"context"
	"fmt"
	"hash"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/topics"
)

// Emitter is a typed goka.Emitter on franz-go, for programs that only produce. Records are
// partitioned by Kafka's murmur2, written idempotently and acknowledged by all in-sync replicas.
// It may be used by many goroutines.
type Emitter[T any] struct {
	em    *goka.Emitter
	topic topics.Topic[T]
}

// NewEmitter connects; the topic must exist.
func NewEmitter[T any](cfg Config, clientID string, topic topics.Topic[T]) (*Emitter[T], error) {
	build := func(_ []string, _ string, _ func() hash.Hash32) (goka.Producer, error) {
		cl, err := cfg.NewClient(clientID, ProducerOptions()...)
		if err != nil {
			return nil, err
		}
		return producer{cl}, nil
	}
	em, err := goka.NewEmitter(cfg.Brokers, goka.Stream(topic.Name), raw{}, goka.WithEmitterProducerBuilder(build))
	if err != nil {
		return nil, fmt.Errorf("emitter for %s: %w", topic.Name, err)
	}
	return &Emitter[T]{em, topic}, nil
}

// ProducerOptions are those of every producer: murmur2, acks from all, idempotent (both are
// franz-go's defaults), bounded memory and time.
func ProducerOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(100_000),
		kgo.MaxBufferedBytes(64 << 20),
	}
}

// Emit sends v and calls done, from another goroutine, once all in-sync replicas hold it or it
// failed for good. It blocks while the buffer is full.
func (e *Emitter[T]) Emit(key string, v T, done func(error)) error {
	b, err := e.topic.Codec.Append(nil, v)
	if err != nil {
		return fmt.Errorf("emit to %s: %w", e.topic.Name, err)
	}
	p, err := e.em.Emit(key, b)
	if err != nil {
		return fmt.Errorf("emit to %s: %w", e.topic.Name, err)
	}
	p.Then(done)
	return nil
}

// EmitSync sends v and returns once all in-sync replicas hold it.
func (e *Emitter[T]) EmitSync(ctx context.Context, key string, v T) error {
	c := make(chan error, 1)
	if err := e.Emit(key, v, func(err error) { c <- err }); err != nil {
		return err
	}
	select {
	case err := <-c:
		return err
	case <-ctx.Done():
		return fmt.Errorf("emit to %s: %w", e.topic.Name, context.Cause(ctx))
	}
}

// Delete sends a tombstone for key, as Emit does a record.
func (e *Emitter[T]) Delete(key string, done func(error)) error {
	p, err := e.em.Emit(key, nil)
	if err != nil {
		return fmt.Errorf("delete from %s: %w", e.topic.Name, err)
	}
	p.Then(done)
	return nil
}

// Close waits for what is under way, at most a minute.
func (e *Emitter[T]) Close() error { return e.em.Finish() }

// raw passes encoded records through goka.
type raw struct{}

func (raw) Encode(v any) ([]byte, error) { return v.([]byte), nil }
func (raw) Decode(b []byte) (any, error) { return b, nil }

// producer is a goka.Producer on franz-go.
type producer struct{ cl *kgo.Client }

func (p producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

func (p producer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: value}
	for k, v := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: v})
	}
	p.cl.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		if err != nil {
			finish(nil, err)
			return
		}
		finish(&sarama.ProducerMessage{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, nil)
	})
	return promise
}

func (p producer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer p.cl.Close()
	if err := p.cl.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}
