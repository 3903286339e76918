package journal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/loop"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
)

// record steps a record, first its row's own deadlines. rejected says that it went to the dead letters
// then; so it must today, and may leave nothing but its deadlines' doings.
func (p *partition) record(input int, rec *kgo.Record, rejected bool) (*Difference, error) {
	p.report.Records++
	if rejected {
		p.report.Rejected++
		p.outputs.expectLetter(rec, p.at)
	}
	key := string(rec.Key)
	if len(rec.Key) == 0 || rec.Value == nil || kafka.Fault(rec) != nil {
		if !rejected {
			return p.differs(where(rec), key, "a record without key or value, or of an unknown schema, was stepped"), nil
		}
		return nil, nil
	}
	r, err := p.load(key)
	if err != nil {
		return nil, err
	}
	ms := max(rec.Timestamp.UnixMilli(), 0)
	if p.def.Inputs[input] == p.def.Loop {
		ms = loop.TimeMS(rec)
	}
	if due := p.def.WakeMS(r.val); due != 0 && due <= ms {
		if d := p.wake(key, r, ms, where(rec)); d != nil {
			return d, nil
		}
	}
	if rejected {
		return p.retry(input, rec, key, r.val, ms)
	}
	p.set(key, r.val, ms, rec)
	if err := p.try(func(c *processors.Call) error { return p.def.Step(input, c) }); err != nil {
		return p.differs(where(rec), key, fmt.Sprintf("the record was stepped then, and fails now: %v", err)), nil
	}
	p.take(key, r)
	return nil, nil
}

// retry makes sure that a rejected record is still one, on a copy of the row.
func (p *partition) retry(input int, rec *kgo.Record, key string, val any, ms int64) (*Difference, error) {
	if val != nil {
		b, err := p.encode(val)
		if err == nil {
			val, err = p.def.DecodeRow(b)
		}
		if err != nil {
			return nil, p.rowError(key, err)
		}
	}
	p.set(key, val, ms, rec)
	if p.try(func(c *processors.Call) error { return p.def.Step(input, c) }) != nil {
		return nil, nil
	}
	if p.call.Changed && p.call.Row != nil {
		if b, err := p.encode(p.call.Row); err != nil || len(b) > p.def.MaxRowBytes {
			return nil, nil
		}
	}
	return p.differs(where(rec), key, "the record was rejected then, and is taken now"), nil
}

func (p *partition) wake(key string, r *row, upTo int64, at schemas.Coordinates) *Difference {
	p.set(key, r.val, upTo, nil)
	if err := p.try(p.def.Wake); err != nil {
		return p.differs(at, key, fmt.Sprintf("the row was woken then, and that fails now: %v", err))
	}
	p.take(key, r)
	return nil
}

// set makes the call; a nil record is a wake.
func (p *partition) set(key string, val any, ms int64, rec *kgo.Record) {
	c := &p.call
	c.Key, c.NowMS, c.Row, c.Views, c.Tables = key, ms, val, p.views.views, p.views
	c.At, c.Value = schemas.Coordinates{Partition: p.number}, nil
	if rec != nil {
		c.At, c.Value = where(rec), rec.Value
	}
	c.Changed, c.Out = false, c.Out[:0]
}

// try steps, and says what would send the record to the dead letters, the row's size apart.
func (p *partition) try(step func(*processors.Call) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	if err := step(&p.call); err != nil {
		return err
	}
	for _, e := range p.call.Out {
		switch {
		case !slices.Contains(p.def.Outputs, e.Topic):
			return errors.New("it emits to " + e.Topic.Name + " without declaring it")
		case len(e.Key)+len(e.Value) > e.Topic.RecordBytes():
			return fmt.Errorf("it emits %d bytes to %s", len(e.Key)+len(e.Value), e.Topic.Name)
		}
	}
	return nil
}

// take makes the step's outcome part of the transaction.
func (p *partition) take(key string, r *row) {
	r.val = p.call.Row
	r.dirty = r.dirty || p.call.Changed
	for _, e := range p.call.Out {
		if e.Topic.Pack != nil {
			p.items[e.Topic] = append(p.items[e.Topic], e.Item)
			continue
		}
		p.outputs.expect(e.Topic.Name, e.Key, p.number, digestOf(e.Value), p.at)
	}
	clear(p.call.Out)
}
