package table

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/loop"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
)

// ahead is how far a record's time may lie ahead of the clock and still move partition time.
const ahead = time.Minute

// Step steps records of one input, in order. Failures do not come back here: Outgoing reports them
// when the transaction is to end. Records are not kept.
func (p *Partition) Step(input int, recs []*kgo.Record) {
	defer p.begin()()
	defer p.tally()
	p.journal.Batch(input, recs, p.whole, p.store.Offset()+1)
	stepped := int64(0)
	for i := 0; i < len(recs) && !p.broken(); {
		n := p.run(input, recs[i:])
		stepped += int64(n)
		i += n
	}
	p.Count.Records.Add(stepped)
	p.Count.Hits.Add(p.hits)
	p.Count.Misses.Add(p.misses)
	p.hits, p.misses = 0, 0
}

// tally takes over what the steps of a batch counted.
func (p *Partition) tally() {
	for i, n := range p.call.Counted {
		if n != 0 {
			p.Count.Counted[i].Add(n)
			p.call.Counted[i] = 0
		}
	}
}

// begin takes what is in force in this batch; other processors' tables stay as they are until end.
func (p *Partition) begin() (end func()) {
	p.views, p.whole = p.Views()
	p.now = p.Now().UnixMilli()
	if p.Tables == nil {
		return func() {}
	}
	next, release := p.Tables.Hold(p.number)
	p.whole = append(slices.Clip(p.whole), next...)
	return release
}

// broken says that this transaction can only be aborted.
func (p *Partition) broken() bool { return p.stuck != nil || p.fatal != nil }

// run steps records until one panics, and returns how many it is done with.
func (p *Partition) run(input int, recs []*kgo.Record) (n int) {
	defer func() {
		if v := recover(); v != nil {
			p.panicked(recs[n], v, debug.Stack())
			n++
		}
	}()
	for ; n < len(recs) && !p.broken(); n++ {
		p.one(input, recs[n])
	}
	return n
}

func (p *Partition) one(input int, rec *kgo.Record) {
	p.row = nil
	in := &p.inputs[input]
	in.next = rec.Offset + 1
	if rec.Attrs.IsControl() { // kept so that the position reaches the partition's end
		return
	}
	p.live++
	ms := max(rec.Timestamp.UnixMilli(), 0)
	if p.Def.Inputs[input] == p.Def.Loop {
		ms = loop.TimeMS(rec)
	}
	if ms > p.now+ahead.Milliseconds() {
		p.Count.Ahead.Add(1)
	} else {
		in.last = max(in.last, ms)
	}
	if rec.Value == nil && p.Def.Inputs[input].Compact { // a tombstone, which is no event of anybody
		return
	}
	if fault := unfit(rec); fault != nil {
		p.reject(rec, fault, nil)
		return
	}
	r, err := p.load(rec.Key)
	if err != nil {
		p.fatal = err
		return
	}
	at := schemas.Coordinates{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	if !p.wake(r, ms, rec) || !p.set(r, ms, at, rec.Value) {
		return
	}
	err = p.Def.Step(input, &p.call)
	switch {
	case err != nil:
		p.reject(rec, err, nil)
	case !p.check():
		p.undo(rec, p.stuck, nil)
	default:
		p.take()
	}
}

// unfit says why a record cannot be anybody's event.
func unfit(rec *kgo.Record) error {
	fault := kafka.Fault(rec)
	switch {
	case fault != nil:
		return fault
	case len(rec.Key) == 0:
		return errors.New("the record has no key, so no row to meet")
	case rec.Value == nil:
		return fmt.Errorf("%w: the record has no value", schemas.ErrUndecodable)
	}
	return nil
}

// set makes the call for a step of r. In careful mode it notes the row first.
func (p *Partition) set(r *row, ms int64, at schemas.Coordinates, value []byte) bool {
	p.row = nil // no step has this row yet
	if p.careful {
		if r.val != nil && r.enc == nil {
			var err error
			if r.enc, err = p.Def.AppendRow(nil, r.val); err != nil {
				p.fatal = p.rowError(r.key, err)
				return false
			}
		}
		p.before = r.enc
	}
	p.row = r
	c := &p.call
	c.Key, c.NowMS, c.At, c.Value = r.key, ms, at, value
	c.Row, c.Changed, c.Views, c.Tables, c.Out = r.val, false, p.views, p.others, c.Out[:0]
	return true
}

// check looks at what the step did before anything is taken over. On false, stuck says what is wrong.
func (p *Partition) check() bool {
	for i := range p.call.Out {
		if p.stuck = p.checkOut(&p.call.Out[i]); p.stuck != nil {
			return false
		}
	}
	if !p.call.Changed {
		return true
	}
	p.row.enc = nil // also what an earlier, careful step left
	if !p.careful || p.call.Row == nil {
		return true
	}
	enc, err := p.Def.AppendRow(make([]byte, 0, 128), p.call.Row)
	if err == nil {
		err = p.checkRow(len(enc))
	}
	p.row.enc, p.stuck = enc, err
	return err == nil
}

func (p *Partition) checkOut(e *processors.Emission) error {
	if !slices.Contains(p.Def.Outputs, e.Topic) {
		return fmt.Errorf("%s emits to %s without declaring it", p.Def.Name, e.Topic.Name)
	}
	if size, most := len(e.Key)+len(e.Value), p.MaxBytes(e.Topic.Name); size > most {
		return fmt.Errorf("%s emits %d bytes to %s, at most %d are taken", p.Def.Name, size, e.Topic.Name, most)
	}
	return nil
}

func (p *Partition) checkRow(size int) error {
	if size > p.Def.MaxRowBytes {
		return fmt.Errorf("the row would have %d bytes, at most %d are kept", size, p.Def.MaxRowBytes)
	}
	return nil
}

// take makes the step's outcome part of the transaction.
func (p *Partition) take() {
	c, r := &p.call, p.row
	r.val = c.Row
	if c.Changed {
		p.touch(r)
	}
	for i := range c.Out {
		p.emit(&c.Out[i])
	}
	clear(c.Out)
	p.row = nil
}

// touch makes the row one that the transaction writes.
func (p *Partition) touch(r *row) {
	if !r.dirty {
		r.dirty = true
		p.dirty = append(p.dirty, r)
	}
}

func (p *Partition) emit(e *processors.Emission) {
	if e.Topic.Pack == nil {
		p.out = append(p.out, kgo.Record{Topic: e.Topic.Name, Key: []byte(e.Key), Value: e.Value, Headers: loop.Headers(e.TimeMS)})
		p.Urgent()
		return
	}
	for i := range p.blocks {
		if p.blocks[i].topic == e.Topic {
			p.blocks[i].items = append(p.blocks[i].items, e.Item)
			return
		}
	}
	p.blocks = append(p.blocks, block{e.Topic, []any{e.Item}})
}
