package declare

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// alive is how old a worker's last word may be; it speaks every 3 s.
const alive = 10 * time.Second

// ErrNoWorker says that no worker runs that could hold a declaration.
var ErrNoWorker = errors.New("no worker runs: what was applied will be in force when one starts")

// Wait returns once every running worker decides by all that is declared now, with their number. ctx
// bounds it; with no worker it returns ErrNoWorker after it has looked.
func Wait(ctx context.Context, cluster kafka.Config) (int, error) {
	upTo := int64(0)
	err := kafka.Snapshot(ctx, cluster, topics.Declarations.Spec, func(e kafka.Entry) { upTo = e.At.Offset + 1 })
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := &waiter{upTo: upTo, workers: map[string]*schemas.WorkerStatus{}}
	f := kafka.NewFollower(cluster, topics.Workers.Spec, w.hear)
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ready := f.Ready()
	for {
		select {
		case <-ready:
			if n, behind := w.state(time.Now()); n == 0 {
				stop()
				return 0, errors.Join(ErrNoWorker, <-done)
			} else if behind == "" {
				stop()
				return n, <-done
			}
			<-tick.C
		case err := <-done:
			_, behind := w.state(time.Now())
			return 0, errors.Join(fmt.Errorf("worker %s has not taken the declarations over: %w", behind, context.Cause(ctx)), err)
		}
	}
}

// waiter holds what the workers said last.
type waiter struct {
	upTo int64

	mu      sync.Mutex
	workers map[string]*schemas.WorkerStatus
}

func (w *waiter) hear(e kafka.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.workers, e.Key)
	if e.Value == nil {
		return
	}
	if s, err := topics.Workers.Codec.Decode(e.Value); err == nil {
		w.workers[e.Key] = s
	}
}

// state counts the running workers that read declarations and names one that is behind.
func (w *waiter) state(now time.Time) (n int, behind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.workers {
		next, reads := s.Next[topics.Declarations.Name]
		if !reads || now.Sub(time.UnixMilli(s.TimeMs)) > alive {
			continue
		}
		n++
		if next < w.upTo {
			behind = id
		}
	}
	return n, behind
}
