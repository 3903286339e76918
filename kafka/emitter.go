package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"sync"
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
	cl    *kgo.Client
	topic topics.Topic[T]
	// patience is how long Close waits.
	patience time.Duration
	once     sync.Once
	closed   error
}

// closePatience bounds Emitter.Close.
const closePatience = time.Minute

// NewEmitter connects; the topic must exist.
func NewEmitter[T any](cfg Config, clientID string, topic topics.Topic[T]) (*Emitter[T], error) {
	cl, err := cfg.NewClient(clientID, ProducerOptions()...)
	if err != nil {
		return nil, fmt.Errorf("emitter for %s: %w", topic.Name, err)
	}
	build := func([]string, string, func() hash.Hash32) (goka.Producer, error) { return producer{cl}, nil }
	em, err := goka.NewEmitter(cfg.Brokers, goka.Stream(topic.Name), raw{}, goka.WithEmitterProducerBuilder(build))
	if err != nil {
		cl.Close()
		return nil, fmt.Errorf("emitter for %s: %w", topic.Name, err)
	}
	return &Emitter[T]{em: em, cl: cl, topic: topic, patience: closePatience}, nil
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

// Close waits until the brokers hold what was emitted, at most a minute. What they do not hold by then
// fails, each done is told so, and the error says how much it was; it may be in the log all the same.
// Emitting from then on fails. A second Close returns what the first did.
func (e *Emitter[T]) Close() error {
	e.once.Do(func() { e.closed = e.finish() })
	return e.closed
}

// finish ends goka's emitter, which takes nothing more and waits for every record without a limit:
// only the end of the client, which fails them all, ends that.
func (e *Emitter[T]) finish() error {
	done := make(chan error, 1)
	go func() { done <- e.em.Finish() }()
	t := time.NewTimer(e.patience)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
	}
	left := e.cl.BufferedProduceRecords()
	e.cl.Close()
	if err := <-done; err != nil || left > 0 {
		return errors.Join(fmt.Errorf("close the emitter for %s: the brokers did not acknowledge %d records within %v", e.topic.Name, left, e.patience), err)
	}
	return nil
}

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

// Close comes after every record was acknowledged or failed.
func (p producer) Close() error {
	p.cl.Close()
	return nil
}
