package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/recovery"
	"github.com/dwellhq/dwell/kafka/stream/store"
)

const (
	// idle is how long nothing may come before we look for a hole at a partition's end.
	idle = 300 * time.Millisecond
	// mostRecords bounds what is written in one go, and so how long steps wait for it.
	mostRecords = 2_000
	// fetchBytes is the most that one fetch brings from a partition.
	fetchBytes = 4 << 20
	// bulkBytes bounds what all stores of a table may gather before it is written. Some for one large
	// partition, little for each of many.
	bulkBytes = 64 << 20
)

// follower reads partitions of one table into their stores.
type follower struct {
	cfg    Config
	topic  string
	index  map[int32]int // of the slices below, by partition
	stores []*store.Store
	ends   []int64       // at the start
	ready  chan struct{} // closed when all was read up to ends, and no store gathers any more

	// mu is held for writing while stores and next change, and for reading while a batch is stepped.
	mu   sync.RWMutex
	next []int64 // the first offset of each partition that its store has not seen

	// early is held by who reads a row before ready: a store that gathers writes then.
	early    sync.Mutex
	gathered int // bytes that the stores were given since they last settled; of no meaning once ready
}

func (f *follower) at(number int32) int { return f.index[number] }

// close closes the stores. What cannot be closed cleanly is read again the next time.
func (f *follower) close(log *slog.Logger) {
	for _, s := range f.stores {
		if err := s.Close(); err != nil {
			log.Warn("close the store of another processor's table", "topic", f.topic, "err", err)
		}
	}
	f.stores = nil
}

// run follows until ctx ends, and then returns nil.
func (f *follower) run(ctx context.Context) error {
	from := map[int32]kgo.Offset{}
	for number, i := range f.index {
		from[number] = kgo.NewOffset().At(f.next[i])
	}
	cl, err := f.cfg.Kafka.NewClient(f.cfg.ClientID,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.topic: from}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a commit marker may be the last record: it, too, brings us to the end
		kgo.FetchMaxPartitionBytes(fetchBytes),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	caught := false
	for {
		if !caught && f.isReady() {
			if err := f.arrive(); err != nil {
				return err
			}
			caught = true
			close(f.ready)
		}
		fetches := f.poll(ctx, cl, caught)
		if ctx.Err() != nil {
			return nil
		}
		if err := f.write(fetches, caught); err != nil {
			return err
		}
		if !caught && fetches.NumRecords() == 0 {
			f.skipHoles(ctx, cl)
		}
	}
}

func (f *follower) isReady() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i, end := range f.ends {
		if f.next[i] < end {
			return false
		}
	}
	return true
}

// poll waits for records; until all partitions were read to their ends, not for ever.
func (f *follower) poll(ctx context.Context, cl *kgo.Client, caught bool) kgo.Fetches {
	if !caught {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, idle)
		defer cancel()
	}
	fetches := cl.PollRecords(ctx, mostRecords)
	fetches.EachError(func(topic string, number int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			f.cfg.Log.Warn("another processor's table: fetch failed, trying again", "topic", topic, "partition", number, "err", err)
		}
	})
	return fetches
}

// write brings the stores forward. Until the table is caught up with nobody is meant to read it: the stores
// gather rows and write many at once. After that each write is small, also where we fell behind, because
// steps wait for it.
func (f *follower) write(fetches kgo.Fetches, caught bool) (err error) {
	if fetches.NumRecords() == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 || err != nil {
			return
		}
		i, last := f.at(p.Partition), p.Records[len(p.Records)-1].Offset
		write := f.stores[i].Apply
		if !caught {
			write = f.stores[i].Bulk
		}
		rows := make([]store.Row, 0, len(p.Records))
		for _, r := range p.Records {
			if !r.Attrs.IsControl() {
				rows = append(rows, store.Row{Key: r.Key, Value: r.Value})
				f.gathered += len(r.Key) + len(r.Value)
			}
		}
		if err = write(rows, last); err != nil {
			err = fmt.Errorf("follow %s/%d: %w", f.topic, p.Partition, err)
			return
		}
		f.next[i] = last + 1
	})
	if err == nil && !caught && f.gathered >= bulkBytes {
		return f.settle()
	}
	return err
}

// settle writes what the stores have gathered. It is called with mu.
func (f *follower) settle() error {
	f.gathered = 0
	for number, i := range f.index {
		if err := f.stores[i].Settle(); err != nil {
			return fmt.Errorf("follow %s/%d: %w", f.topic, number, err)
		}
	}
	return nil
}

// arrive notes in the stores that all was read. That they are not old, too: the next start believes only one
// that was written to lately, and in this table nobody may have written for long.
func (f *follower) arrive() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for number, i := range f.index {
		if err := f.stores[i].Apply(nil, f.next[i]-1); err != nil {
			return fmt.Errorf("follow %s/%d: %w", f.topic, number, err)
		}
	}
	return nil
}

// row reads one; the caller holds mu for reading.
func (f *follower) row(number int32, key string) ([]byte, error) {
	select {
	case <-f.ready:
	default: // the store may write what it gathered
		f.early.Lock()
		defer f.early.Unlock()
	}
	return f.stores[f.at(number)].Get([]byte(key))
}

// skipHoles passes over what compaction took at the ends of partitions: nothing will come from there.
func (f *follower) skipHoles(ctx context.Context, cl *kgo.Client) {
	for number, i := range f.index {
		f.mu.RLock()
		next := f.next[i]
		f.mu.RUnlock()
		if next >= f.ends[i] {
			continue
		}
		after, err := recovery.Skip(ctx, cl, f.topic, number, next)
		if err != nil {
			f.cfg.Log.Debug("another processor's table: cannot look for a hole", "topic", f.topic, "partition", number, "err", err)
			continue
		}
		f.mu.Lock()
		f.next[i] = max(f.next[i], after)
		f.mu.Unlock()
	}
}
