package processors

import (
	"fmt"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Def is a Processor with its row type erased: what the runtime and the test harness see.
type Def struct {
	Name    string
	Inputs  []*topics.Spec
	Outputs []*topics.Spec
	Whole   []WholeDef
	// Tables are those of other processors: first the joined, then the looked-up.
	Tables []TableDef
	// Loop is the processor's own loop, among Inputs and Outputs; nil: none.
	Loop        *topics.Spec
	Interval    time.Duration
	MaxRowBytes int
	// TTL of a row; zero: rows stay.
	TTL time.Duration
	// Wakes says whether rows may have deadlines, or end.
	Wakes bool
	// Journal says whether transactions are journaled.
	Journal bool
	// Counters are what steps count.
	Counters []*Counter

	steps []func(*Call) error
	wake  func(*Call) error
	rows  rowCodec
}

// WholeDef is one whole topic.
type WholeDef struct{ AnyWhole }

// Topic that is read whole.
func (w WholeDef) Topic() *topics.Spec { return w.spec() }

// Zero is the view before the first record.
func (w WholeDef) Zero() any { return w.zero() }

// Fold returns the view after one record; a nil value is a tombstone. On an error, which wraps
// schemas.ErrUndecodable, the view stays as it was.
func (w WholeDef) Fold(view any, key string, value []byte) (any, error) {
	return w.fold(view, key, value)
}

// Call is one step as the runtime makes it. The runtime may reuse a Call: it sets Key, NowMS, At,
// Value, Row and Views, clears Out and Changed, and takes Row, Changed and Out afterwards.
type Call struct {
	Key string
	// NowMS is the record's time, Unix milliseconds; for Wake, the time up to which to wake.
	NowMS int64
	At    schemas.Coordinates
	// Value is the undecoded record; nil for a wake. It must not change as long as Out is in use: facts may
	// lie in its memory.
	Value []byte
	// Row is the decoded row, nil for none; afterwards nil means deleted. Rows are changed in place.
	Row any
	// Changed says that Row must be written.
	Changed bool
	// Views are the whole topics in force, by Def.Whole.
	Views []any
	// Tables hands out rows of Def.Tables; nil where there are none.
	Tables Tables
	// Out is what was emitted, in order.
	Out []Emission
	// Counted is what steps have counted, by counter and value, each Counters[i].Values after those before;
	// steps add to it. Nil where nobody asks, else it is as long as Def.Counts says.
	Counted []int64

	def *Def
	// turn is the Turn of the last step, to be used again; so is spare, a record that was given back.
	turn, spare any
	// facts are room for facts to come.
	facts []schemas.Fact
}

// Emission is a record to send when the transaction commits.
type Emission struct {
	Topic *topics.Spec
	Key   string
	// Value is nil for a tombstone, and where there is an Item.
	Value []byte
	// TimeMS, only with Def.Loop, is the logical time at which the record will be stepped, Unix ms.
	TimeMS int64
	// Item instead of Value, for a topic with Pack.
	Item any
}

type rowCodec struct {
	decode func([]byte) (any, error)
	append func([]byte, any) ([]byte, error)
	times  func(any) (wakeMS, timeMS int64)
	unwake func(any)
}

// DecodeRow decodes a stored row.
func (d *Def) DecodeRow(b []byte) (any, error) { return d.rows.decode(b) }

// AppendRow appends the encoding of a row to dst.
func (d *Def) AppendRow(dst []byte, row any) ([]byte, error) { return d.rows.append(dst, row) }

// WakeMS is when Wake has something to do for a row, Unix milliseconds: at its deadline, or else when
// its TTL is over; 0: never.
func (d *Def) WakeMS(row any) int64 {
	if row == nil {
		return 0
	}
	ms, _ := d.due(d.rows.times(row))
	return ms
}

// StoredWakeMS is WakeMS of a stored row, which need not be decoded for that.
func (d *Def) StoredWakeMS(b []byte) (int64, error) {
	var e schemas.Row
	if err := e.UnmarshalVTUnsafe(b); err != nil {
		return 0, fmt.Errorf("row: %w: %w", schemas.ErrUndecodable, err)
	}
	ms, _ := d.due(e.WakeMs, e.TimeMs)
	return ms, nil
}

// Unwake takes the deadline off a row, in place, and leaves it as a wake at the deadline would that does
// nothing: the row's time is the deadline's. The runtime does so with a row whose wake fails.
func (d *Def) Unwake(row any) { d.rows.unwake(row) }

// due says when a row has its next turn without a record, and whether it ends with that. A row that
// waits for a deadline does not end before.
func (d *Def) due(wakeMS, timeMS int64) (ms int64, ends bool) {
	switch {
	case wakeMS != 0 && d.wake != nil:
		return wakeMS, false
	case d.TTL > 0:
		return timeMS + d.TTL.Milliseconds(), true
	}
	return 0, false
}

// HasWake says whether rows are woken at deadlines, and do not merely end.
func (d *Def) HasWake() bool { return d.wake != nil }

// Step runs one record of input i: first the row's own deadlines up to the record's time, in order,
// then the step. An error wraps schemas.ErrUndecodable and means that the record was not stepped
// (the deadlines were). A panic of the step passes through and leaves the Row unusable.
func (d *Def) Step(i int, c *Call) error {
	c.def = d
	if err := d.Wake(c); err != nil {
		return err
	}
	return d.steps[i](c)
}

// Wake runs the row's deadlines up to c.NowMS, in order, and deletes it when its TTL is over.
func (d *Def) Wake(c *Call) error {
	c.def = d
	if !d.Wakes || c.Row == nil {
		return nil
	}
	upTo, at := c.NowMS, c.At
	for c.Row != nil {
		ms, ends := d.due(d.rows.times(c.Row))
		if ms == 0 || ms > upTo {
			break
		}
		if ends {
			c.Row, c.Changed = nil, true
			break
		}
		c.NowMS, c.At = ms, schemas.Coordinates{Partition: at.Partition}
		if err := d.wake(c); err != nil {
			return err
		}
	}
	c.NowMS, c.At = upTo, at
	return nil
}

// Define checks a declaration and erases its row type. It panics on a false declaration.
func Define[S any](p Processor[S]) *Def {
	check(p)
	d := &Def{
		Name: p.Name, Interval: p.Interval, MaxRowBytes: p.MaxRowBytes, TTL: p.TTL, Wakes: p.Wake != nil || p.TTL > 0,
		Outputs: append([]*topics.Spec{topics.Actions.Spec}, p.Outputs...),
		Journal: p.Journal, Tables: tables(p.Name, p.Joins, p.Lookups), Counters: p.Counters,
		rows: codecOf(p.Row),
	}
	if d.Interval == 0 {
		d.Interval = DefaultInterval
	}
	if d.MaxRowBytes == 0 {
		d.MaxRowBytes = DefaultMaxRowBytes
	}
	for _, w := range p.Whole {
		d.Whole = append(d.Whole, WholeDef{w})
	}
	for _, in := range p.Inputs {
		d.Inputs = append(d.Inputs, in.topic)
		if in.topic.Name == topics.LoopName(p.Name) {
			d.Loop = in.topic
			d.Outputs = append(d.Outputs, in.topic)
		}
		d.steps = append(d.steps, func(c *Call) error {
			return turn(c, in.step)
		})
	}
	if p.Wake != nil {
		d.wake = wake(p.Wake)
	}
	return d
}

// wake takes the deadline off the row and runs f.
func wake[S any](f func(*Turn[S])) func(*Call) error {
	step := func(t *Turn[S], _ []byte) error {
		t.wake = 0
		f(t)
		t.same = false // the deadline is gone at least
		return nil
	}
	return func(c *Call) error { return turn(c, step) }
}

func check[S any](p Processor[S]) {
	if p.Name == "" {
		panic("processors: a processor has no name")
	}
	if len(p.Inputs) == 0 {
		panic("processors: " + p.Name + " reads no topic")
	}
	if p.TTL < 0 || p.TTL%time.Millisecond != 0 {
		panic(fmt.Sprintf("processors: the TTL of %s, %v, is not a number of milliseconds", p.Name, p.TTL))
	}
	checkCounters(p.Name, p.Counters)
	seen := map[string]bool{}
	for _, in := range p.Inputs {
		if seen[in.topic.Name] {
			panic(fmt.Sprintf("processors: two inputs of %s read %s", p.Name, in.topic.Name))
		}
		seen[in.topic.Name] = true
	}
	if len(seen) == 1 && seen[topics.LoopName(p.Name)] {
		panic("processors: " + p.Name + " reads nothing but its own loop")
	}
}
