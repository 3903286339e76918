// Package recovery reads the partitions of a table topic for goka when a processor starts or takes a
// partition over: fetched batches go in, one message per batch comes out, up to the end of the log.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/handle"
)

// Batch is what one message stands for: the records, control records among them, up to an offset.
// goka's recovery ends with the message at the last offset of the log, and that is a commit marker,
// or nothing at all where compaction took it: so a Batch may hold no record.
type Batch struct {
	Records []*kgo.Record
	Last    int64
}

const (
	// idle is how long a partition may deliver nothing before we look for a hole at its end.
	idle = 300 * time.Millisecond
	// fetchBytes is the most that one fetch brings from a partition.
	fetchBytes = 4 << 20
)

// Consumer is a sarama.Consumer. Each partition has a client of its own, so that none waits for
// another; it lives only as long as the recovery.
type Consumer struct {
	cfg     kafka.Config
	id      string
	log     *slog.Logger
	batches *handle.Registry[Batch]
	running sync.WaitGroup
}

// New makes a consumer whose messages carry handles of batches as their values.
func New(cfg kafka.Config, clientID string, log *slog.Logger, batches *handle.Registry[Batch]) *Consumer {
	return &Consumer{cfg: cfg, id: clientID, log: log, batches: batches}
}

// ConsumePartition implements sarama.Consumer. An offset that is gone means the first that is left.
func (c *Consumer) ConsumePartition(topic string, number int32, offset int64) (sarama.PartitionConsumer, error) {
	if offset < 0 {
		return nil, fmt.Errorf("recover %s/%d: no offset %d", topic, number, offset)
	}
	cl, err := c.cfg.NewClient(c.id,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {number: kgo.NewOffset().At(offset)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxPartitionBytes(fetchBytes),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &partition{
		Consumer: c, cl: cl, topic: topic, number: number, next: offset, cancel: cancel,
		out: make(chan *sarama.ConsumerMessage), errs: make(chan *sarama.ConsumerError),
	}
	c.running.Go(func() { p.run(ctx) })
	return p, nil
}

// Close implements sarama.Consumer: it waits for partitions that were closed before.
func (c *Consumer) Close() error {
	c.running.Wait()
	return nil
}

// Topics implements sarama.Consumer. goka never asks.
func (c *Consumer) Topics() ([]string, error) { return nil, errUnused }

// Partitions implements sarama.Consumer. goka never asks.
func (c *Consumer) Partitions(string) ([]int32, error) { return nil, errUnused }

// HighWaterMarks implements sarama.Consumer: none are kept.
func (c *Consumer) HighWaterMarks() map[string]map[int32]int64 { return nil }

// Pause implements sarama.Consumer. goka never asks.
func (c *Consumer) Pause(map[string][]int32) {}

// Resume implements sarama.Consumer. goka never asks.
func (c *Consumer) Resume(map[string][]int32) {}

// PauseAll implements sarama.Consumer. goka never asks.
func (c *Consumer) PauseAll() {}

// ResumeAll implements sarama.Consumer. goka never asks.
func (c *Consumer) ResumeAll() {}

var errUnused = errors.New("recovery: not used by goka")

// partition is a sarama.PartitionConsumer.
type partition struct {
	*Consumer
	cl     *kgo.Client
	topic  string
	number int32
	next   int64 // the first offset that was not passed on
	cancel context.CancelFunc
	out    chan *sarama.ConsumerMessage
	errs   chan *sarama.ConsumerError
}

func (p *partition) run(ctx context.Context) {
	defer close(p.errs)
	defer close(p.out)
	defer p.cl.Close()
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, idle)
		fetches := p.cl.PollFetches(one)
		cancel()
		found := false
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if len(f.Records) > 0 {
				found = true
				p.pass(ctx, Batch{f.Records, f.Records[len(f.Records)-1].Offset})
			}
		})
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				p.log.Warn("recovery: fetch failed, trying again", "topic", p.topic, "partition", p.number, "err", err)
			}
		})
		if !found && ctx.Err() == nil {
			p.skipHole(ctx)
		}
	}
}

// skipHole passes an empty batch on when the rest of the log, up to its end, holds nothing.
func (p *partition) skipHole(ctx context.Context) {
	next, err := Skip(ctx, p.cl, p.topic, p.number, p.next)
	if err != nil {
		p.log.Debug("recovery: cannot look for a hole", "topic", p.topic, "partition", p.number, "offset", p.next, "err", err)
		return
	}
	if next > p.next {
		p.pass(ctx, Batch{Last: next - 1})
	}
}

func (p *partition) pass(ctx context.Context, b Batch) {
	select {
	case p.out <- &sarama.ConsumerMessage{Topic: p.topic, Partition: p.number, Offset: b.Last, Value: p.batches.Put(b)}:
		p.next = b.Last + 1
	case <-ctx.Done():
	}
}

// AsyncClose implements sarama.PartitionConsumer.
func (p *partition) AsyncClose() { p.cancel() }

// Close implements sarama.PartitionConsumer.
func (p *partition) Close() error {
	p.cancel()
	for range p.out {
	}
	return nil
}

// Messages implements sarama.PartitionConsumer.
func (p *partition) Messages() <-chan *sarama.ConsumerMessage { return p.out }

// Errors implements sarama.PartitionConsumer: there are none, fetches are repeated.
func (p *partition) Errors() <-chan *sarama.ConsumerError { return p.errs }

// HighWaterMarkOffset implements sarama.PartitionConsumer. goka never asks.
func (p *partition) HighWaterMarkOffset() int64 { return 0 }

// Pause implements sarama.PartitionConsumer. goka never asks.
func (p *partition) Pause() {}

// Resume implements sarama.PartitionConsumer. goka never asks.
func (p *partition) Resume() {}

// IsPaused implements sarama.PartitionConsumer.
func (p *partition) IsPaused() bool { return false }
