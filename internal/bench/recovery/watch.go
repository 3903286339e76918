package recovery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// lookEvery is how often the group's offsets are read: the grain of a stand-still.
const lookEvery = 5 * time.Millisecond

// watch sends events at a steady rate and notes for how long each partition's commits stand still.
type watch struct {
	g      *ground
	cl     *kgo.Client
	cancel context.CancelFunc
	group  *errgroup.Group

	mu    sync.Mutex
	at    map[int32]int64     // committed
	since map[int32]time.Time // it last moved
	still map[int32]time.Duration
}

func startWatch(ctx context.Context, g *ground, rate int) (*watch, error) {
	cl, err := g.kafka.NewClient("bench-events", kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{g: g, cl: cl, cancel: cancel, at: map[int32]int64{}, since: map[int32]time.Time{}, still: map[int32]time.Duration{}}
	w.group, ctx = errgroup.WithContext(ctx)
	w.group.Go(func() error { return w.send(ctx, rate) })
	w.group.Go(func() error { w.look(ctx); return nil })
	if err := wait(ctx, "every partition moves", func() bool { return w.moving(time.Time{}) }); err != nil {
		return nil, fmt.Errorf("%w, %w", err, w.close())
	}
	return w, nil
}

// send produces events of users drawn at random, each as large as a row.
func (w *watch) send(ctx context.Context, rate int) error {
	const beat = 2 * time.Millisecond
	tick := time.NewTicker(beat)
	defer tick.Stop()
	value := make([]byte, w.g.RowBytes-12)
	failed := make(chan error, 1)
	for due, start, sent := 0, time.Now(), 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("send events: %w", err)
		case <-tick.C:
			due = int(time.Since(start).Seconds() * float64(rate))
		}
		for ; sent < due; sent++ {
			r := &kgo.Record{Topic: events(w.g.name).Name, Key: key(rand.IntN(w.g.Rows)), Value: value}
			w.cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil && ctx.Err() == nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
	}
}

// look follows what the group has committed.
func (w *watch) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		found, err := w.g.adm.FetchOffsets(ctx, "dwell."+w.g.name)
		if err != nil {
			continue // the next one tells; until then nothing has moved
		}
		now := time.Now()
		w.mu.Lock()
		for p, o := range found[events(w.g.name).Name] {
			if since, known := w.since[p]; known {
				w.still[p] = max(w.still[p], now.Sub(since))
			}
			if o.At > w.at[p] {
				w.at[p], w.since[p] = o.At, now
			}
		}
		w.mu.Unlock()
	}
}

// moving says whether every partition moved after a time, and in the last second.
func (w *watch) moving(after time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.g.Partitions {
		if since, ok := w.since[p]; !ok || !since.After(after) || time.Since(since) > time.Second {
			return false
		}
	}
	return true
}

// begin forgets the stand-stills so far.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.still)
}

// settle is how long all must go on before a change counts as over.
const settle = 2 * time.Second

// end waits until all partitions move again, and says how long they stood still.
func (w *watch) end(ctx context.Context, t Takeover, moved []int32) (Takeover, error) {
	mark := time.Now()
	if err := wait(ctx, "every partition moves again", func() bool { return w.moving(mark.Add(settle)) }); err != nil {
		return t, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Moved = len(moved)
	for p, d := range w.still {
		if slices.Contains(moved, p) {
			t.MovedStill = max(t.MovedStill, d.Seconds())
		} else {
			t.UntouchedStill = max(t.UntouchedStill, d.Seconds())
		}
	}
	return t, nil
}

func (w *watch) close() error {
	w.cancel()
	err := w.group.Wait()
	w.cl.Close()
	return err
}
