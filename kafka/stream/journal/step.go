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

// record steps a record, first its row's own deadlines, of which wakes were rejected. rejected says that
// it went to the dead letters then; so it must today, and may leave nothing but its deadlines' doings.
func (p *partition) record(input int, rec *kgo.Record, rejected bool, wakes []int64) (*Difference, error) {
	p.report.Records++
	if rejected {
		p.report.Rejected++
		p.outputs.expectLetter(&schemas.DeadLetter{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}, p.at)
	}
	key := string(rec.Key)
	if rec.Value == nil && p.def.Inputs[input].Compact && !rejected {
		return nil, nil // a tombstone, which is no event of anybody
	}
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
	if d, err := p.wake(key, r, ms, where(rec), wakes); d != nil || err != nil {
		return d, err
	}
	if rejected {
		fails, err := p.retry(key, r.val, ms, rec, func(c *processors.Call) error { return p.def.Step(input, c) })
		if err != nil || fails {
			return nil, err
		}
		return p.differs(where(rec), key, "the record was rejected then, and is taken now"), nil
	}
	p.set(key, r.val, ms, rec)
	if err := p.try(func(c *processors.Call) error { return p.def.Step(input, c) }); err != nil {
		return p.differs(where(rec), key, fmt.Sprintf("the record was stepped then, and fails now: %v", err)), nil
	}
	p.take(key, r)
	return nil, nil
}

// retry says whether a step or a wake that was rejected is still to be, on a copy of the row.
func (p *partition) retry(key string, val any, ms int64, rec *kgo.Record, step func(*processors.Call) error) (bool, error) {
	if val != nil {
		b, err := p.encode(val)
		if err == nil {
			val, err = p.def.DecodeRow(b)
		}
		if err != nil {
			return false, p.rowError(key, err)
		}
	}
	p.set(key, val, ms, rec)
	if p.try(step) != nil {
		return true, nil
	}
	if p.call.Changed && p.call.Row != nil {
		if b, err := p.encode(p.call.Row); err != nil || len(b) > p.def.MaxRowBytes {
			return true, nil
		}
	}
	return false, nil
}

// wake runs a row's deadlines up to a time, one by one. rejected are those that went to the dead letters
// then; so they must today, and leave the row as it was, without them.
func (p *partition) wake(key string, r *row, upTo int64, at schemas.Coordinates, rejected []int64) (*Difference, error) {
	for {
		due := p.def.WakeMS(r.val)
		switch {
		case due == 0 || due > upTo:
			if len(rejected) > 0 {
				return p.differs(at, key, fmt.Sprintf("a wake at %d was rejected then, and the row has no such deadline now", rejected[0])), nil
			}
			return nil, nil
		case len(rejected) == 0 || rejected[0] != due:
			p.set(key, r.val, due, nil)
			if err := p.try(p.def.Wake); err != nil {
				return p.differs(at, key, fmt.Sprintf("the row was woken at %d then, and that fails now: %v", due, err)), nil
			}
			p.take(key, r)
			continue
		}
		rejected = rejected[1:]
		fails, err := p.retry(key, r.val, due, nil, p.def.Wake)
		if err != nil {
			return nil, err
		}
		if !fails {
			return p.differs(at, key, fmt.Sprintf("a wake at %d was rejected then, and is taken now", due)), nil
		}
		p.def.Unwake(r.val)
		r.dirty = true
		p.report.RejectedWakes++
		p.outputs.expectLetter(&schemas.DeadLetter{Topic: p.table, Partition: p.number, Key: []byte(key), WakeMs: due}, p.at)
	}
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
