package table

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// Unknown is a position that is not known.
const Unknown = -1

// Partition is one partition of a processor's table with the records stepped against it.
type Partition struct {
	*Shared
	number    int32
	rows      cache
	deadlines deadlines
	inputs    []position
	views     []any
	whole     []int64 // the first offsets that are not in views
	journal   *journal.Recorder
	call      processors.Call
	now       int64 // Unix ms, as of this batch

	// Of the open transaction:
	dirty  []*row
	out    []kgo.Record
	blocks []block
	woken  []deadline
	dead   int64
	saved  []kgo.Record // the dirty rows, encoded
	buf    []byte
	stuck  error // a step failed, and careful stepping will find which
	fatal  error

	// Until careful, every step is checked by itself, so that it can be undone.
	until   time.Time
	careful bool

	// Of the step under way:
	row    *row
	waking bool
	before []byte

	recovered atomic.Int64 // rows read back from the topic
	mu        sync.Mutex
	store     *store.Store // nil once closed
}

// position says how far an input was read.
type position struct {
	next, last         int64 // the next offset; the largest record time, Unix ms
	keptNext, keptLast int64 // as committed
}

// block is what was emitted to a topic of blocks.
type block struct {
	topic *topics.Spec
	items []any
}

// New makes a partition over its store, which it owns from now on.
func New(shared *Shared, number int32, s *store.Store) *Partition {
	p := &Partition{
		Shared: shared, number: number, store: s, inputs: make([]position, len(shared.Def.Inputs)),
		journal: journal.NewRecorder(shared.Def, shared.JournalTopic, number, shared.Version),
	}
	p.rows.limit = shared.CacheBytes
	for i := range p.inputs {
		p.inputs[i] = position{next: Unknown, keptNext: Unknown}
	}
	return p
}

// Number is the partition's number.
func (p *Partition) Number() int32 { return p.number }

// Offset is the offset in the table topic up to which the local store holds it; -1: nothing.
func (p *Partition) Offset() int64 { return p.store.Offset() }

// Recovered is the number of rows that were read back from the topic when the partition started. It
// may be called at any time.
func (p *Partition) Recovered() int64 { return p.recovered.Load() }

// Restore writes what was read from the table topic, up to offset last, to the local store. Control
// records hold no row.
func (p *Partition) Restore(recs []*kgo.Record, last int64) error {
	rows := make([]store.Row, 0, len(recs))
	for _, r := range recs {
		if !r.Attrs.IsControl() {
			rows = append(rows, store.Row{Key: r.Key, Value: r.Value})
		}
	}
	p.recovered.Add(int64(len(rows)))
	p.Count.Recovered.Add(int64(len(rows)))
	return p.store.Apply(rows, last)
}

// Ready is called once the store holds the whole table: it builds the index of deadlines. goka calls it
// in a goroutine that it does not wait for when the group takes the partition away meanwhile.
func (p *Partition) Ready() error {
	if !p.Def.Wakes {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		return fmt.Errorf("index the deadlines of %s/%d: the partition was closed", p.Topic, p.number)
	}
	return p.store.Each(func(key, value []byte) error {
		row, err := p.Def.DecodeRow(value)
		if err != nil {
			return p.rowError(string(key), err)
		}
		p.deadlines.set(string(key), p.Def.WakeMS(row))
		return nil
	})
}

// Close gives the local store back. A transaction that is still open is not written to it any more.
func (p *Partition) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		return nil
	}
	err := p.store.Close()
	p.store = nil
	return err
}

// Position is the next offset of an input; Unknown before its first record.
func (p *Partition) Position(input int) int64 { return p.inputs[input].next }

// load returns the cached row of a key, from the store at first.
func (p *Partition) load(key []byte) (*row, error) {
	if r := p.rows.get(key); r != nil {
		return r, nil
	}
	r := &row{key: string(key)}
	b, err := p.store.Get(key)
	if err != nil {
		return nil, err
	}
	if b != nil {
		if r.val, err = p.Def.DecodeRow(b); err != nil {
			return nil, p.rowError(r.key, err)
		}
	}
	r.size = len(b)
	p.rows.add(r)
	return r, nil
}

func (p *Partition) rowError(key string, err error) error {
	return fmt.Errorf("row %q of %s/%d: %w", key, p.Topic, p.number, err)
}
