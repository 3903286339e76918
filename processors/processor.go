// Package processors is the contract between pure decisions and the runtime that feeds them.
//
// A processor is a declaration plus pure steps: a record and the user's row go in, the changed row
// and emitted records come out. Steps run one at a time per key, in the log's order; row, outputs
// and input offset become visible together or not at all, so each record changes each row once.
// A step must be deterministic: no I/O, goroutine, clock or randomness; it may run again after a
// crash and must then do the same.
package processors

import (
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Processor declares what a worker runs. S is the row, one per key; its zero value is a new user's.
type Processor[S any] struct {
	// Name is the consumer group and names the table: dwell.<Name>. Never change it.
	Name   string
	Inputs []Input[S]
	// Outputs are the topics that steps emit to, besides topics.Actions.
	Outputs []*topics.Spec
	// Whole are topics that every worker holds in memory whole.
	Whole []AnyWhole
	// Joins are tables of other processors that have the inputs' keys and number of partitions: a worker
	// keeps the partitions that it works on. Read one with Join.
	Joins []AnyTable
	// Lookups are tables of other processors that every worker keeps whole, on its disk. Read one with
	// Lookup.
	Lookups []AnyTable
	// Wake runs when a deadline set by Turn.WakeAt has come; nil: no deadlines. A wake that panics, or
	// grows its row too far, is like such a record: it leaves one dead letter and no more. The row is then
	// as after a wake that did nothing: its deadline is gone, and does not come again.
	Wake func(*Turn[S])
	// Row encodes S; nil means JSON.
	Row schemas.Codec[*S]
	// Interval is the most time between a record's arrival and its commit; zero means 20 ms.
	Interval time.Duration
	// MaxRowBytes bounds an encoded row; zero means 256 KiB. It holds for what a transaction commits: when
	// a row would be larger, the transaction's records are stepped again one by one, and the record that
	// grew the row beyond it goes to the dead letters; the others stand. So does a wake that grows the row
	// beyond it: see Wake.
	MaxRowBytes int
	// TTL is how long a row stays without a turn that changes it, by logical time as deadlines go; zero
	// means for ever. A row with a deadline waits for that first: its wake is such a turn, and a turn that
	// says Same is not.
	TTL time.Duration
	// Journal writes down in which order records, wakes and whole topics met, in dwell.<Name>-journal,
	// so that dwell replay-check can do it all again.
	Journal bool
	// Counters are what steps count with Count, in the worker's metrics.
	Counters []*Counter
}

// Defaults of a Processor.
const (
	DefaultInterval    = 20 * time.Millisecond
	DefaultMaxRowBytes = 256 << 10
)

// Input binds a topic to a step.
type Input[S any] struct {
	topic *topics.Spec
	step  func(t *Turn[S], value []byte) error
}

// On runs step for each record of the topic. Bytes that are no T go to the dead letters. A topic that
// topics.Loop made for this processor is its loop: see Loop. Where the topic's codec is a
// schemas.Borrower, a record is good until its step returns, and what the step emits lies in its memory.
func On[T, S any](topic topics.Topic[T], step func(*Turn[S], T)) Input[S] {
	if codec, ok := topic.Codec.(schemas.Borrower[T]); ok {
		return Input[S]{topic.Spec, borrow(codec, step)}
	}
	return Input[S]{topic.Spec, func(t *Turn[S], value []byte) error {
		v, err := topic.Codec.Decode(value)
		if err != nil {
			return err
		}
		step(t, v)
		return nil
	}}
}

// borrow runs step on records that lie in the memory of Call.Value, and are filled again by the next one.
func borrow[T, S any](codec schemas.Borrower[T], step func(*Turn[S], T)) func(*Turn[S], []byte) error {
	return func(t *Turn[S], value []byte) error {
		call := t.call
		spare, _ := call.spare.(T)
		call.spare = nil // a step that panics leaves none behind
		v, err := codec.Borrow(spare, value)
		if err != nil {
			return err
		}
		step(t, v)
		codec.Return(v)
		call.spare = v
		return nil
	}
}

// AnyWhole is a Whole of any type.
type AnyWhole interface {
	spec() *topics.Spec
	zero() any
	fold(view any, key string, value []byte) (any, error)
}

// Whole is a topic that every worker folds into one value in memory: campaigns, links, lists.
type Whole[T, V any] struct {
	Topic topics.Topic[T]
	// Fold returns the view after one record; deleted says that the record is a tombstone. It must
	// leave the view it was given as it was: steps may still be reading it.
	Fold func(view V, key string, record T, deleted bool) V
}

func (w *Whole[T, V]) spec() *topics.Spec { return w.Topic.Spec }

func (w *Whole[T, V]) zero() any {
	var v V
	return v
}

func (w *Whole[T, V]) fold(view any, key string, value []byte) (any, error) {
	var rec T
	if value != nil {
		var err error
		if rec, err = w.Topic.Codec.Decode(value); err != nil {
			return view, err
		}
	}
	return w.Fold(view.(V), key, rec, value == nil), nil
}
