package table

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
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
	others    processors.Tables // nil: none
	now       int64             // Unix ms, as of this batch

	// Of the open transaction:
	dirty  []*row
	out    []kgo.Record
	blocks []block
	woken  []deadline
	dead   int64
	live   int64        // records stepped or rejected
	wakes  int64        // rows woken, also by their own next record
	first  string       // where the first rejected record lies, and why
	saved  []kgo.Record // the dirty rows, encoded
	buf    []byte
	stuck  error // a step failed, and careful stepping will find which
	fatal  error

	// Until careful, every step is checked by itself, so that it can be undone.
	until   time.Time
	careful bool

	hits, misses int64 // of the batch under way

	// Of the batch of wakes under way: how many rows were woken before this one, and what was rejected.
	turn          int64
	rejectedWakes []*schemas.RejectedWake

	// Of the step under way:
	row    *row
	before []byte

	progress progress
	due      atomic.Int64 // the earliest deadline, Unix ms, when the driver last asked; 0: none
	indexed  bool         // deadlines has those of the store
	mu       sync.Mutex
	store    *store.Store // nil once closed
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
	}
	p.call.Counted = make([]int64, len(shared.Count.Counted))
	var parts []int32
	if shared.Tables != nil {
		p.others, parts = others{p}, shared.Tables.Parts()
	}
	p.journal = journal.NewRecorder(shared.Def, parts, shared.JournalTopic, number, shared.Version)
	p.indexed = s.Offset() < 0 // there is nothing to index
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
		p.hits++
		return r, nil
	}
	p.misses++
	r := &row{key: string(key), raw: bytes.Clone(key)}
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
