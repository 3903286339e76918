package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Entry is one record of a followed topic.
type Entry struct {
	Key string
	// Value is nil for a tombstone.
	Value []byte
	At    schemas.Coordinates
	Time  time.Time
}

// Follower reads a compacted topic of one partition from its start, for ever, so that its reader
// holds the whole of it in memory.
type Follower struct {
	cfg   Config
	spec  *topics.Spec
	apply func(Entry)
	ready chan struct{}
	next  atomic.Int64
}

// NewFollower hands every committed record to apply, in order, from one goroutine: that of Run.
func NewFollower(cfg Config, spec *topics.Spec, apply func(Entry)) *Follower {
	return &Follower{cfg: cfg, spec: spec, apply: apply, ready: make(chan struct{})}
}

// Ready is closed once everything that was in the topic when Run began has been applied.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

// Next is the first offset that has not been applied.
func (f *Follower) Next() int64 { return f.next.Load() }

// Run follows until ctx ends, and then returns nil. Broker outages are waited out.
func (f *Follower) Run(ctx context.Context) error {
	cl, err := f.cfg.NewClient("dwell-follow-"+f.spec.Name,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.spec.Name: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a commit marker may be the last record: it, too, brings us to the end
		kgo.FetchMaxWait(time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	end, err := f.end(ctx, cl)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	caught := false
	for {
		if !caught && f.next.Load() >= end {
			caught = true
			close(f.ready)
		}
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fs.EachError(func(t string, p int32, err error) {
			slog.Warn("follow: fetch failed, trying again", "topic", t, "partition", p, "err", err)
		})
		fs.EachRecord(f.record)
	}
}

func (f *Follower) record(r *kgo.Record) {
	if !r.Attrs.IsControl() {
		f.apply(Entry{Key: string(r.Key), Value: r.Value, At: schemas.Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, Time: r.Timestamp})
	}
	f.next.Store(r.Offset + 1)
}

// end is the offset at which the topic ended when asked.
func (f *Follower) end(ctx context.Context, cl *kgo.Client) (int64, error) {
	adm := kadm.NewClient(cl)
	for {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		l, err := adm.ListCommittedOffsets(one, f.spec.Name)
		cancel()
		if err == nil {
			if o, ok := l.Lookup(f.spec.Name, 0); ok && o.Err == nil {
				return o.Offset, nil
			} else if ok {
				err = o.Err
			} else {
				err = errors.New("no such partition")
			}
		}
		if !pause(ctx, 250*time.Millisecond) {
			return 0, fmt.Errorf("find the end of %s: %w", f.spec.Name, err)
		}
	}
}

// Snapshot hands every record that a compacted topic holds now to apply, in order.
func Snapshot(ctx context.Context, cfg Config, spec *topics.Spec, apply func(Entry)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := NewFollower(cfg, spec, apply)
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	select {
	case <-f.Ready():
		stop()
		return <-done
	case err := <-done:
		if err == nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("read %s: %w", spec.Name, err)
	}
}
