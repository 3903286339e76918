// Package mirror follows the tables of other processors, for joins and look-ups: committed records of
// their topics come in, rows are read out.
//
// A joined table is followed in the partitions that the group gave this worker, from before they are
// stepped until the group takes them away. A looked-up one is followed whole, as long as the processor
// runs. Both lie in local stores, which a restart goes on from, and both stand still while a partition
// steps a batch, so that all of the batch reads the same rows and the journal can name them.
//
// goka's own joins take a client for each partition, and its look-ups end the processor when a broker is
// away for a moment; here a table has one client, which waits outages out.
package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/placement"
	"github.com/dwellhq/dwell/processors"
)

// Config says what to follow, and where to keep it.
type Config struct {
	Kafka    kafka.Config
	ClientID string
	Admin    *broker.Admin
	// Dir gets a folder for each table; empty means in memory.
	Dir string
	// Cache is for the blocks of the stores; nil means a small one each.
	Cache *pebble.Cache
	Log   *slog.Logger
}

// Mirror holds the tables that a processor joins and looks up. Hold and Row may be called by many
// goroutines.
type Mirror struct {
	cfg  Config
	defs []processors.TableDef

	whole []*follower // of the looked-up tables; nil for joined ones
	parts []int32

	mu     sync.RWMutex
	joined []*follower // of the joined tables, while they are assigned; nil for looked-up ones
	cancel context.CancelFunc
	group  *errgroup.Group
}

// Open opens the stores of the looked-up tables, whose topics must exist. Beside follows
// them.
func Open(ctx context.Context, cfg Config, defs []processors.TableDef) (*Mirror, error) {
	m := &Mirror{cfg: cfg, defs: defs, whole: make([]*follower, len(defs)), joined: make([]*follower, len(defs)), parts: make([]int32, len(defs))}
	for i, d := range defs {
		m.parts[i] = 1
		if !d.Whole {
			continue
		}
		_, n, err := cfg.Admin.Topic(ctx, d.Topic().Name, topicAppears)
		if err != nil {
			return nil, m.undo(err)
		}
		all := make([]int32, n)
		for k := range all {
			all[k] = int32(k)
		}
		m.parts[i] = int32(n)
		if m.whole[i], err = m.open(ctx, d.Topic().Name, all); err != nil {
			return nil, m.undo(err)
		}
	}
	return m, nil
}

// undo closes what Open opened before it failed.
func (m *Mirror) undo(err error) error {
	for _, f := range m.whole {
		if f != nil {
			f.close(m.cfg.Log)
		}
	}
	return err
}

// Beside follows the looked-up tables while run runs, which begins once everything that was in them at the
// start is in force, and closes their stores after it. When a table cannot be followed any longer,
// because of its store, the context of run ends, and the error is that one. Broker outages are waited out.
func (m *Mirror) Beside(ctx context.Context, run func(context.Context) error) error {
	following, stop := context.WithCancel(context.WithoutCancel(ctx)) // what is stepped at the end reads them, too
	defer stop()
	g, following := errgroup.WithContext(following)
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, f := range m.whole {
		if f == nil {
			continue
		}
		g.Go(func() error {
			err := f.run(following)
			if err != nil {
				cancel()
			}
			return err
		})
	}
	err := wait(running, m.whole)
	if err == nil {
		err = run(running)
	}
	stop()
	failed := g.Wait()
	for _, f := range m.whole {
		if f != nil {
			f.close(m.cfg.Log)
		}
	}
	if failed != nil {
		return failed
	}
	return err
}

// Assign begins to follow the joined tables in these partitions; Await waits for it. failed is called
// when that ends before Release, which must be called in any case.
func (m *Mirror) Assign(ctx context.Context, numbers []int32, failed func()) error {
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g, following := errgroup.WithContext(following)
	all := make([]*follower, len(m.defs))
	m.mu.Lock()
	m.joined, m.cancel, m.group = all, cancel, g
	m.mu.Unlock()
	for i, d := range m.defs {
		if d.Whole || len(numbers) == 0 {
			continue
		}
		f, err := m.open(ctx, d.Topic().Name, numbers)
		if err != nil {
			return err
		}
		m.mu.Lock()
		all[i] = f
		m.mu.Unlock()
		g.Go(func() error {
			err := f.run(following)
			if err != nil {
				failed()
			}
			return err
		})
	}
	return nil
}

// Await returns once everything that was in the assigned partitions when Assign was called is in force.
func (m *Mirror) Await(ctx context.Context) error {
	m.mu.RLock()
	joined := m.joined
	m.mu.RUnlock()
	return wait(ctx, joined)
}

// Release ends what Assign began, and returns why it ended before. Nothing may be held any more.
func (m *Mirror) Release() error {
	m.mu.Lock()
	joined, cancel, g := m.joined, m.cancel, m.group
	m.joined, m.cancel, m.group = make([]*follower, len(m.defs)), nil, nil
	m.mu.Unlock()
	if g == nil {
		return nil
	}
	cancel()
	err := g.Wait()
	for _, f := range joined {
		if f != nil {
			f.close(m.cfg.Log)
		}
	}
	return err
}

// Parts is how many of Hold's offsets belong to each table.
func (m *Mirror) Parts() []int32 { return m.parts }

// Hold keeps what a partition may read as it is until release, and returns the first offset of each
// partition that is not in force: one of each joined table, then all of each looked-up one.
func (m *Mirror) Hold(number int32) (next []int64, release func()) {
	var held []*follower
	for i, d := range m.defs {
		f := m.follower(i)
		if f == nil { // released: nobody will commit what is stepped now
			next = append(next, make([]int64, m.parts[i])...)
			continue
		}
		f.mu.RLock()
		held = append(held, f)
		if d.Whole {
			next = append(next, f.next...)
		} else {
			next = append(next, f.next[f.at(number)])
		}
	}
	return next, func() {
		for _, f := range held {
			f.mu.RUnlock()
		}
	}
}

// Next is the first offset of each partition of a table that is not in force; none for a joined table
// that is not assigned. It may be called at any time.
func (m *Mirror) Next(table int) map[int32]int64 {
	f := m.follower(table)
	if f == nil {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	next := map[int32]int64{}
	for number, i := range f.index {
		next[number] = f.next[i]
	}
	return next
}

// Row returns a copy of the encoded row of a key in a table; nil: none. number is the partition of a
// joined table. It may be called between Hold and release only.
func (m *Mirror) Row(number int32, table int, key string) ([]byte, error) {
	f := m.follower(table)
	if f == nil {
		return nil, fmt.Errorf("read row %q of %s: the table was released", key, m.defs[table].Topic().Name)
	}
	if m.defs[table].Whole {
		number = placement.Of(key, m.parts[table])
	}
	return f.row(number, key)
}

// follower of a table; nil for a joined one that is not assigned.
func (m *Mirror) follower(i int) *follower {
	if f := m.whole[i]; f != nil {
		return f
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.joined[i]
}

func wait(ctx context.Context, all []*follower) error {
	for _, f := range all {
		if f == nil {
			continue
		}
		select {
		case <-f.ready:
		case <-ctx.Done():
			return fmt.Errorf("read %s: %w", f.topic, context.Cause(ctx))
		}
	}
	return nil
}
