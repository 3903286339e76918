package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/recovery"
)

const (
	// idle is how long a partition may deliver nothing before we look for a hole at its end.
	idle = 300 * time.Millisecond
	// fetchBytes is the most that one fetch brings from a partition.
	fetchBytes = 4 << 20
	// askAgain is how long to wait for transactions that are under way.
	askAgain = 50 * time.Millisecond
)

// span is what a partition holds: the first offset that is kept, and the one behind the last.
type span struct{ start, end int64 }

// spans are of a topic's partitions, by number.
type spans map[int32]span

// decided returns, per topic, its spans up to the present end, once every transaction before that end
// is committed or aborted. A topic that does not exist is an error.
func decided(ctx context.Context, cl *kgo.Client, topics ...string) (map[string]spans, error) {
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("find the ends of %v: %w", topics, err)
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err = errors.Join(err, starts.Error()); err != nil {
		return nil, fmt.Errorf("find the starts of %v: %w", topics, err)
	}
	for {
		stable, err := adm.ListCommittedOffsets(ctx, topics...)
		if err = errors.Join(err, stable.Error()); err != nil {
			return nil, fmt.Errorf("find the ends of %v: %w", topics, err)
		}
		open := false
		all := map[string]spans{}
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(o.Topic, o.Partition)
			first, _ := starts.Lookup(o.Topic, o.Partition)
			open = open || s.Offset < o.Offset
			if all[o.Topic] == nil {
				all[o.Topic] = spans{}
			}
			all[o.Topic][o.Partition] = span{first.Offset, o.Offset}
		})
		if !open {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the transactions in %v: %w", topics, context.Cause(ctx))
		case <-time.After(askAgain):
		}
	}
}

// tape reads the committed records of one partition in order, each once.
type tape struct {
	span
	cl        *kgo.Client
	topic     string
	partition int32
	at        int64 // the next offset
	held      []*kgo.Record
	// holes says that offsets are missing: records that compaction took, or an aborted transaction's.
	holes bool
}

func newTape(cfg kafka.Config, topic string, partition int32, s span) (*tape, error) {
	t := &tape{span: s, topic: topic, partition: partition, at: s.start, holes: s.start > 0}
	if s.start >= s.end {
		return t, nil
	}
	var err error
	t.cl, err = cfg.NewClient(clientID,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(s.start)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // what is gone meanwhile is an error
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(fetchBytes))
	return t, err
}

func (t *tape) close() {
	if t.cl != nil {
		t.cl.Close()
	}
}

// peek returns the next record without taking it; nil at the end.
func (t *tape) peek(ctx context.Context) (*kgo.Record, error) {
	for {
		for len(t.held) > 0 {
			r := t.held[0]
			if r.Offset < t.end && !r.Attrs.IsControl() {
				return r, nil
			}
			t.take()
		}
		if t.at >= t.end {
			return nil, nil
		}
		if err := t.poll(ctx); err != nil {
			return nil, fmt.Errorf("read %s/%d at offset %d: %w", t.topic, t.partition, t.at, err)
		}
	}
}

// take drops the record that peek returned.
func (t *tape) take() {
	next := t.held[0].Offset + 1
	t.holes = t.holes || t.held[0].Offset > t.at
	t.at, t.held = next, t.held[1:]
}

func (t *tape) poll(ctx context.Context) error {
	one, cancel := context.WithTimeout(ctx, idle)
	fetches := t.cl.PollFetches(one)
	cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var fault error
	fetches.EachError(func(_ string, _ int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !kerr.IsRetriable(err) {
			fault = err
		}
	})
	if t.held = fetches.Records(); len(t.held) > 0 || fault != nil {
		return fault
	}
	next, err := recovery.Skip(ctx, t.cl, t.topic, t.partition, t.at)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err == nil && next > t.at { // errors of the network pass; PollFetches says which do not
		t.at, t.holes = next, true
	}
	return nil
}

// each hands every record to do, to the end.
func (t *tape) each(ctx context.Context, do func(*kgo.Record) error) error {
	for {
		r, err := t.peek(ctx)
		if r == nil || err != nil {
			return err
		}
		if err := do(r); err != nil {
			return err
		}
		t.take()
	}
}
