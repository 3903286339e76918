package processors

import (
	"fmt"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Def is a Processor with its row type erased: what the runtime and the test harness see.
type Def struct {
	Name        string
	Inputs      []*topics.Spec
	Outputs     []*topics.Spec
	Whole       []WholeDef
	Interval    time.Duration
	MaxRowBytes int
	// Wakes says whether rows may have deadlines.
	Wakes bool
	// Journal says whether transactions are journaled.
	Journal bool

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
	// Value is the undecoded record; nil for a wake.
	Value []byte
	// Row is the decoded row, nil for none; afterwards nil means deleted. Rows are changed in place.
	Row any
	// Changed says that Row must be written.
	Changed bool
	// Views are the whole topics in force, by Def.Whole.
	Views []any
	// Out is what was emitted, in order.
	Out []Emission

	def *Def
}

// Emission is a record to send when the transaction commits.
type Emission struct {
	Topic *topics.Spec
	Key   string
	Value []byte
	// Item instead of Value, for a topic with Pack.
	Item any
}

type rowCodec struct {
	decode func([]byte) (any, error)
	append func([]byte, any) ([]byte, error)
	wakeMS func(any) int64
}

// DecodeRow decodes a stored row.
func (d *Def) DecodeRow(b []byte) (any, error) { return d.rows.decode(b) }

// AppendRow appends the encoding of a row to dst.
func (d *Def) AppendRow(dst []byte, row any) ([]byte, error) { return d.rows.append(dst, row) }

// WakeMS is a row's deadline, Unix milliseconds; 0: none.
func (d *Def) WakeMS(row any) int64 {
	if row == nil {
		return 0
	}
	return d.rows.wakeMS(row)
}

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

// Wake runs the row's deadlines up to c.NowMS, in order.
func (d *Def) Wake(c *Call) error {
	c.def = d
	if d.wake == nil || c.Row == nil {
		return nil
	}
	upTo, at := c.NowMS, c.At
	for c.Row != nil {
		ms := d.rows.wakeMS(c.Row)
		if ms == 0 || ms > upTo {
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
		Name: p.Name, Interval: p.Interval, MaxRowBytes: p.MaxRowBytes, Wakes: p.Wake != nil,
		Outputs: append([]*topics.Spec{topics.Actions.Spec}, p.Outputs...),
		Journal: p.Journal,
		rows:    codecOf(p.Row),
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
	seen := map[string]bool{}
	for _, in := range p.Inputs {
		if seen[in.topic.Name] {
			panic(fmt.Sprintf("processors: two inputs of %s read %s", p.Name, in.topic.Name))
		}
		seen[in.topic.Name] = true
	}
}
