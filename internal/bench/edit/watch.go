package edit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/topics"
)

// watch notes when a reader of committed verdicts saw each version first in each partition.
type watch struct {
	partitions int
	cl         *kgo.Client
	stop       context.CancelFunc
	done       chan error

	mu    sync.Mutex
	first map[string]map[int32]time.Time // by version
}

func (g *ground) watch() (*watch, error) {
	cl, err := g.cfg.NewClient("bench-watch", kgo.ConsumeTopics(topics.Verdicts.Name), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	w := &watch{partitions: int(g.Partitions), cl: cl, done: make(chan error, 1), first: map[string]map[int32]time.Time{}}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.done <- w.run(ctx) }()
	return w, nil
}

func (w *watch) run(ctx context.Context) error {
	for {
		fetches := w.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read the verdicts: %w", err)
		}
		if err := w.note(fetches, time.Now()); err != nil {
			return err
		}
	}
}

func (w *watch) note(fetches kgo.Fetches, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range fetches.Records() {
		v, err := topics.Verdicts.Codec.Decode(r.Value)
		if err != nil {
			return fmt.Errorf("verdict at %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		seen := w.first[v.Version]
		if seen == nil {
			seen = map[int32]time.Time{}
			w.first[v.Version] = seen
		}
		if _, ok := seen[v.SrcPartition]; !ok {
			seen[v.SrcPartition] = now
		}
	}
	return nil
}

// everywhere waits until every partition has decided by a version, and returns when the last one was seen.
func (w *watch) everywhere(ctx context.Context, version string) (last time.Time, err error) {
	err = wait(ctx, "version "+version+" decides in every partition", func() (bool, error) {
		select {
		case err := <-w.done:
			w.done <- err
			return false, fmt.Errorf("the reader of verdicts ended: %w", err)
		default:
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, at := range w.first[version] {
			if at.After(last) {
				last = at
			}
		}
		return len(w.first[version]) == w.partitions, nil
	})
	return last, err
}

func (w *watch) close() error {
	w.stop()
	defer w.cl.Close()
	return <-w.done
}
