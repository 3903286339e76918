// Package rehearse runs the Decider over recorded events without a broker: events and campaigns go
// in, the verdicts that a worker would have written come out, ids and all. It is the worker's own
// code, the engage processor; only what feeds it is another: rows are in memory, and time is the
// records' time.
package rehearse

import (
	"errors"
	"fmt"
	"math"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Step is what one record, or one wake, did.
type Step struct {
	// Key is tenant/user.
	Key string
	// Verdicts in order; they belong to the receiver.
	Verdicts []*schemas.Verdict
	// Fact says that the event counted.
	Fact bool
	// Woken says that a deadline did it and no record.
	Woken bool
}

// Stepper steps the engage processor over rows in memory. The same records in the same order give
// the same verdicts as a worker's. Its memory is the rows of the users that it saw. It belongs to one
// goroutine.
type Stepper struct {
	def   *processors.Def
	views []any
	parts map[int32]*partition
	call  processors.Call
	input map[string]int
	emit  func(Step) error
	// place says where a key's row lies, so that rows may send messages to each other; nil: they cannot, and
	// an id that a user claims stays apart. said are those under way.
	place func(key string) int32
	said  []processors.Emission
	// ceilingMS bounds the time to which a record brings its partition.
	ceilingMS int64
}

// NewStepper starts with no campaign and no row. What every record and wake did goes to emit; its
// error ends the step.
func NewStepper(emit func(Step) error) *Stepper {
	s := &Stepper{def: engage.Processor, parts: map[int32]*partition{}, input: map[string]int{}, emit: emit, ceilingMS: math.MaxInt64}
	for _, w := range s.def.Whole {
		s.views = append(s.views, w.Zero())
	}
	for i, in := range s.def.Inputs {
		s.input[in.Name] = i
	}
	return s
}

// Converse lets rows send messages to each other from now on, such as the claim of an id: place says in which
// partition a key's row lies, and must say the same of every record that comes.
func (s *Stepper) Converse(place func(key string) int32) { s.place = place }

// Declare puts one record of a whole topic in force: a campaign. A nil value is a tombstone.
func (s *Stepper) Declare(topic, key string, value []byte) error {
	for i, w := range s.def.Whole {
		if w.Topic().Name != topic {
			continue
		}
		view, err := w.Fold(s.views[i], key, value)
		if err != nil {
			return fmt.Errorf("declare %s: %w", key, err)
		}
		s.views[i] = view
	}
	return nil
}

// Campaigns are those in force.
func (s *Stepper) Campaigns() *engage.Catalog {
	for _, v := range s.views {
		if c, ok := v.(*engage.Catalog); ok {
			return c
		}
	}
	return nil
}

// Event steps one record of topics.Events: first all deadlines of its partition up to its time, then
// the record. ms is the record's time. Records of a partition come in their order; an error that
// wraps schemas.ErrUndecodable leaves the record out.
func (s *Stepper) Event(key string, at schemas.Coordinates, ms int64, value []byte) error {
	return s.record(topics.Events.Name, key, at, ms, value)
}

// Member is Event for a record of topics.Members: the user is in one version of an uploaded audience.
func (s *Stepper) Member(key string, at schemas.Coordinates, ms int64, value []byte) error {
	return s.record(topics.Members.Name, key, at, ms, value)
}

func (s *Stepper) record(topic, key string, at schemas.Coordinates, ms int64, value []byte) error {
	p := s.partition(at.Partition)
	ms = max(ms, 0)
	p.timeMS = max(p.timeMS, min(ms, s.ceilingMS))
	if err := s.wake(p, at.Partition, p.timeMS); err != nil {
		return err
	}
	r := p.rows[key]
	if r == nil {
		r = &stored{key: key, at: -1}
	}
	err := s.step(p, r, func(c *processors.Call) error {
		c.NowMS, c.At, c.Value = ms, at, value
		return s.def.Step(s.input[topic], c)
	})
	return errors.Join(err, s.converse())
}

// converse steps what rows said to each other, and what that made them say.
func (s *Stepper) converse() error {
	for len(s.said) > 0 {
		e := s.said[0]
		s.said = s.said[1:]
		number := s.place(e.Key)
		p := s.partition(number)
		r := p.rows[e.Key]
		if r == nil {
			r = &stored{key: e.Key, at: -1}
		}
		err := s.step(p, r, func(c *processors.Call) error {
			c.NowMS, c.At, c.Value = e.TimeMS, schemas.Coordinates{Topic: e.Topic.Name, Partition: number}, e.Value
			return s.def.Step(s.input[e.Topic.Name], c)
		})
		if err != nil {
			return fmt.Errorf("a message to %s: %w", e.Key, err)
		}
	}
	return nil
}

// Advance lets the time of every partition come to ms and wakes what is due by then.
func (s *Stepper) Advance(ms int64) error {
	for number, p := range s.parts {
		p.timeMS = max(p.timeMS, ms)
		if err := s.wake(p, number, p.timeMS); err != nil {
			return err
		}
	}
	return nil
}

// Row is what is kept of a user, to look at; nil: nothing.
func (s *Stepper) Row(partition int32, key string) *schemas.EngageRow {
	p := s.parts[partition]
	if p == nil || p.rows[key] == nil {
		return nil
	}
	return processors.State[schemas.EngageRow](p.rows[key].row)
}

// Drop forgets the rows of a partition that has been read to its end.
func (s *Stepper) Drop(partition int32) { delete(s.parts, partition) }

// Users is how many rows there are.
func (s *Stepper) Users() int {
	n := 0
	for _, p := range s.parts {
		n += len(p.rows)
	}
	return n
}

func (s *Stepper) partition(number int32) *partition {
	p := s.parts[number]
	if p == nil {
		p = &partition{rows: map[string]*stored{}, timeMS: math.MinInt64}
		s.parts[number] = p
	}
	return p
}

// wake runs the deadlines up to a time, the earliest first, and by key among equals, as a worker does.
func (s *Stepper) wake(p *partition, number int32, upTo int64) error {
	for {
		r := p.due(upTo)
		if r == nil {
			return nil
		}
		err := s.step(p, r, func(c *processors.Call) error {
			c.NowMS, c.At, c.Value = r.wakeMS, schemas.Coordinates{Partition: number}, nil
			return s.def.Wake(c)
		})
		if err != nil {
			return fmt.Errorf("wake %s: %w", r.key, err)
		}
	}
}

// step makes one call and keeps what became of the row.
func (s *Stepper) step(p *partition, r *stored, do func(*processors.Call) error) error {
	c := &s.call
	c.Key, c.Row, c.Changed, c.Views, c.Out = r.key, r.row, false, s.views, c.Out[:0] // the rest of a Call is used again
	err := do(c)
	if c.Changed {
		p.keep(r, c.Row, s.def.WakeMS(c.Row))
	}
	if err != nil {
		return err
	}
	return s.tell(r.key, c)
}

func (s *Stepper) tell(key string, c *processors.Call) error {
	st := Step{Key: key, Woken: c.Value == nil}
	for _, e := range c.Out {
		switch e.Topic.Name {
		case topics.Identities.Name:
			if s.place != nil {
				s.said = append(s.said, processors.Emission{Topic: e.Topic, Key: e.Key, Value: e.Value, TimeMS: e.TimeMS})
			}
		case topics.Facts.Name:
			st.Fact = true
		case topics.Verdicts.Name:
			v, err := topics.Verdicts.Codec.Decode(e.Value)
			if err != nil {
				return fmt.Errorf("verdict on %s: %w", key, err)
			}
			st.Verdicts = append(st.Verdicts, v)
		}
	}
	return s.emit(st)
}
