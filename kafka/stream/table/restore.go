package table

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
)

// Progress says how far a partition is with reading its rows back from the table topic.
type Progress struct {
	// Rows that were read since the partition came here; what a standby read before does not count.
	Rows int64
	// ToGo are offsets that are left, an upper bound of the rows.
	ToGo int64
	// RowsPerSecond until now, or until the end of recovery.
	RowsPerSecond float64
	// Done says that recovery is over.
	Done bool
}

// ErrClosed says that a partition was taken away meanwhile.
var ErrClosed = errors.New("the partition was closed")

// Fits says whether the local store can be of the topic with this id, whose records from start to end,
// exclusively, are left; an empty one does not need to.
func (p *Partition) Fits(id [16]byte, start, end int64) bool { return p.store.Fits(id, start, end) }

// progress is written by who restores and read by anybody.
type progress struct {
	rows, at, end atomic.Int64
	began, done   atomic.Int64 // Unix ns; 0: not yet
}

// Expect begins to recover up to the offset end of the topic. Nobody else may use the partition yet.
func (p *Partition) Expect(end int64) {
	p.progress.rows.Store(0)
	p.progress.at.Store(p.store.Offset() + 1)
	p.progress.end.Store(end)
	p.progress.done.Store(0)
	p.progress.began.Store(time.Now().UnixNano())
}

// Progress may be asked for at any time.
func (p *Partition) Progress() Progress {
	g := &p.progress
	out := Progress{Rows: g.rows.Load(), ToGo: max(0, g.end.Load()-g.at.Load())}
	until := g.done.Load()
	if out.Done = until != 0; out.Done {
		out.ToGo = 0
	} else {
		until = time.Now().UnixNano()
	}
	if took := time.Duration(until - g.began.Load()); took > 0 {
		out.RowsPerSecond = float64(out.Rows) / took.Seconds()
	}
	return out
}

// Restore writes what was read from the table topic, up to offset last, to the local store. Control
// records hold no row.
func (p *Partition) Restore(recs []*kgo.Record, last int64) error {
	rows, err := p.restore(recs, last, p.store.Bulk)
	p.progress.rows.Add(rows)
	p.progress.at.Store(last + 1)
	p.Count.Recovered.Add(rows)
	return err
}

// Follow is Restore for a standby: what the store has before the partition comes here. Once it has
// caught up, rows that change often are not written each time.
func (p *Partition) Follow(recs []*kgo.Record, last int64) error {
	write := p.store.Later
	if last+1 < p.progress.end.Load() {
		write = p.store.Bulk
	}
	rows, err := p.restore(recs, last, write)
	p.Count.Followed.Add(rows)
	return err
}

func (p *Partition) restore(recs []*kgo.Record, last int64, write func([]store.Row, int64) error) (n int64, err error) {
	rows := make([]store.Row, 0, len(recs))
	for _, r := range recs {
		if !r.Attrs.IsControl() {
			rows = append(rows, store.Row{Key: r.Key, Value: r.Value})
		}
	}
	if p.indexed && p.Def.Wakes {
		for _, r := range rows {
			if err := p.index(r.Key, r.Value); err != nil {
				return 0, err
			}
		}
	}
	return int64(len(rows)), write(rows, last)
}

// index notes the deadline of a stored row; nil means that the row is deleted. Only the envelope is
// decoded.
func (p *Partition) index(key, value []byte) (err error) {
	ms := int64(0)
	if value != nil {
		if ms, err = p.Def.StoredWakeMS(value); err != nil {
			return p.rowError(string(key), err)
		}
	}
	if ms != 0 || p.deadlines.has(key) {
		p.deadlines.set(string(key), ms)
	}
	return nil
}

// Verify reads every row of the local store: an error says that it is damaged, and must not be kept.
// It builds the index of deadlines on the way.
func (p *Partition) Verify() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Def.Wakes {
		return p.indexDeadlines()
	}
	return p.scan(func(_, _ []byte) error { return nil })
}

// Ready is called once the store holds the whole table: it builds the index of deadlines, unless it is
// there already. goka calls it in a goroutine that it does not wait for when the group takes the
// partition away meanwhile.
func (p *Partition) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Def.Wakes {
		if err := p.indexDeadlines(); err != nil {
			return err
		}
	}
	if p.store != nil {
		if err := p.store.Settle(); err != nil {
			return err
		}
	}
	p.progress.done.Store(time.Now().UnixNano())
	return nil
}

// indexDeadlines is called with the mutex.
func (p *Partition) indexDeadlines() error {
	if p.indexed && p.store != nil {
		return nil
	}
	if err := p.scan(p.index); err != nil {
		return err
	}
	p.indexed = true
	return nil
}

// scan is called with the mutex.
func (p *Partition) scan(each func(key, value []byte) error) error {
	if p.store == nil {
		return fmt.Errorf("read the rows of %s/%d: %w", p.Topic, p.number, ErrClosed)
	}
	return p.store.Each(each)
}
