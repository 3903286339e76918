package worker

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// How often a worker looks whether its whole topics moved, and how often it says that it is alive.
const (
	lookEvery   = 50 * time.Millisecond
	reportEvery = 3 * time.Second
)

// report tells dwell apply how far this worker has read the whole topics, until ctx ends; then it
// takes the report back.
func (w *Worker) report(ctx context.Context) error {
	out, err := kafka.NewEmitter(w.cfg.Config, "dwell-worker-status", topics.Workers)
	if err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var (
		told map[string]int64
		at   time.Time
	)
	for {
		select {
		case <-ctx.Done():
			if err := out.Delete(w.id(), w.reported); err != nil {
				slog.Warn("take the status back", "err", err)
			}
			return out.Close()
		case now := <-tick.C:
			next := w.next()
			if len(next) == 0 || maps.Equal(next, told) && now.Sub(at) < reportEvery {
				continue
			}
			told, at = next, now
			if err := out.Emit(w.id(), &schemas.WorkerStatus{Id: w.id(), Next: next, TimeMs: now.UnixMilli()}, w.reported); err != nil {
				slog.Warn("report the status", "err", err)
			}
		}
	}
}

// id tells this worker from others, and from one on this host that runs other processors.
func (w *Worker) id() string { return w.cfg.Instance + "/" + strings.Join(w.names, "+") }

// reported only logs: the next report repeats what this one said.
func (w *Worker) reported(err error) {
	if err != nil {
		slog.Warn("report the status", "err", err)
	}
}

// next is, per whole topic, the first offset that is not in force in every processor that reads it;
// empty as long as one of them is not ready.
func (w *Worker) next() map[string]int64 {
	if w.Ready() != nil {
		return nil
	}
	all := map[string]int64{}
	for _, p := range w.parts {
		for topic, n := range p.Status().Whole {
			if old, ok := all[topic]; !ok || n < old {
				all[topic] = n
			}
		}
	}
	return all
}
