package stream

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/behind"
	"github.com/dwellhq/dwell/processors"
)

// views holds the whole topics in force.
type views struct {
	defs      []processors.WholeDef
	followers []*kafka.Follower
	log       *slog.Logger

	mu   sync.Mutex
	list []any   // replaced, never changed
	next []int64 // the first offset of each that is not in list; replaced, never changed
}

func newViews(cfg kafka.Config, def *processors.Def, log *slog.Logger) *views {
	v := &views{defs: def.Whole, log: log}
	for i, w := range def.Whole {
		v.list, v.next = append(v.list, w.Zero()), append(v.next, 0)
		v.followers = append(v.followers, kafka.NewFollower(cfg, w.Topic(), func(e kafka.Entry) { v.apply(i, e) }))
	}
	return v
}

// now returns the views in force, by Def.Whole, and the first offset of each that is not in force. They
// do not change any more.
func (v *views) now() (list []any, next []int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.list, v.next
}

// apply folds one record. What cannot be folded is left out: the other declarations still hold.
func (v *views) apply(i int, e kafka.Entry) {
	list, _ := v.now() // only this goroutine changes element i
	view, err := v.fold(i, list[i], e)
	if err != nil {
		v.log.Error("whole topic: record left out", "topic", e.At.Topic, "partition", e.At.Partition, "offset", e.At.Offset, "key", e.Key, "err", err)
		view = list[i]
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	list, next := slices.Clone(v.list), slices.Clone(v.next)
	list[i], next[i] = view, e.At.Offset+1
	v.list, v.next = list, next
}

func (v *views) fold(i int, before any, e kafka.Entry) (view any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return v.defs[i].Fold(before, e.Key, e.Value)
}

// run follows all whole topics until ctx ends.
func (v *views) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, f := range v.followers {
		g.Go(func() error { return f.Run(ctx) })
	}
	return g.Wait()
}

// wait returns once everything that was in the whole topics at the start is in force.
func (v *views) wait(ctx context.Context) error {
	for _, f := range v.followers {
		select {
		case <-f.Ready():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// next is the first offset of each whole topic that is not in force.
func (v *views) positions() map[string]int64 {
	m := map[string]int64{}
	for i, f := range v.followers {
		m[v.defs[i].Topic().Name] = f.Next()
	}
	return m
}

// follows are the whole topics, then the tables of other processors, that this one follows.
func (p *Processor) follows() (all []behind.Source) {
	for i, w := range p.def.Whole {
		f := p.views.followers[i]
		all = append(all, behind.Source{Topic: w.Topic().Name, Next: func() map[int32]int64 { return map[int32]int64{0: f.Next()} }})
	}
	for i, t := range p.def.Tables {
		all = append(all, behind.Source{Topic: t.Topic().Name, Next: func() map[int32]int64 {
			if m := p.followed.Load(); m != nil {
				return m.Next(i)
			}
			return nil
		}})
	}
	return all
}
