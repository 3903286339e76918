package table

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/schemas"
)

// Grace is how long, in milliseconds, a record may be under way to the log: wakes by the wall clock
// wait for it.
const Grace = 1000

// Due is the time, Unix ms, up to which Wake has something to do, and whether it has: that of the
// earliest deadline not after limit.
func (p *Partition) Due(limit int64) (int64, bool) {
	d, ok := p.deadlines.first()
	p.due.Store(d.ms)
	return d.ms, ok && d.ms <= limit
}

// Overdue is for how many milliseconds, at nowMS, the earliest deadline has been over; 0: none is. It
// may be called at any time, and is as new as the last call of Due.
func (p *Partition) Overdue(nowMS int64) int64 {
	if due := p.due.Load(); due != 0 {
		return max(0, nowMS-due)
	}
	return 0
}

// Time is partition time, Unix ms: no record with an earlier time can still come. An input bears
// witness by the largest record time stepped; one that was read to its end, which readTo knows by
// the position, also by the wall clock when it was asked, less Grace.
func (p *Partition) Time(readTo func(input int, next int64) (askedMS int64, ok bool)) int64 {
	limit := int64(math.MaxInt64)
	for i := range p.inputs {
		until := p.inputs[i].last
		if asked, ok := readTo(i, p.inputs[i].next); ok {
			until = max(until, asked-Grace)
		}
		limit = min(limit, until)
	}
	return limit
}

// Deadlines is how many rows have a deadline.
func (p *Partition) Deadlines() int { return p.deadlines.len() }

// Wake wakes rows with a deadline not after upTo, Unix ms, by deadline, then key, at most most of
// them. Due tells whether some are left.
func (p *Partition) Wake(upTo int64, most int) {
	defer p.begin()()
	defer p.tally()
	before := len(p.woken)
	p.turn, p.rejectedWakes = 0, nil
	defer func() {
		p.journal.Woken(upTo, len(p.woken)-before, p.rejectedWakes, p.whole, p.store.Offset()+1)
	}()
	for ; most > 0 && !p.broken(); most-- {
		d, ok := p.deadlines.first()
		if !ok || d.ms > upTo {
			return
		}
		p.deadlines.set(d.key, 0)
		p.woken = append(p.woken, d)
		p.wakeKey(d.key, upTo)
		p.turn++
	}
}

func (p *Partition) wakeKey(key string, upTo int64) {
	p.row = nil
	defer func() {
		if v := recover(); v != nil {
			p.loadPanicked(v, debug.Stack())
		}
	}()
	r, err := p.load([]byte(key))
	if err != nil {
		p.fatal = err
		return
	}
	if due := p.Def.WakeMS(r.val); due != 0 && due <= upTo {
		p.Count.Wakes.Add(1)
		p.wake(r, upTo, nil)
	}
}

// wake runs a row's deadlines up to a time; rec is the record that comes after them, if one does. False
// means that this transaction can only be aborted.
func (p *Partition) wake(r *row, upTo int64, rec *kgo.Record) bool {
	for !p.broken() {
		due := p.Def.WakeMS(r.val)
		if due == 0 || due > upTo {
			return true
		}
		if p.careful { // one by one, so that one can be undone
			p.ring(r, due, due, rec)
		} else {
			p.ring(r, due, upTo, rec)
		}
	}
	return false
}

// ring runs a row's deadlines from the first to upTo. In careful steps that is one, and it goes to the
// dead letters when it fails.
func (p *Partition) ring(r *row, due, upTo int64, rec *kgo.Record) {
	p.row = nil
	defer func() {
		if v := recover(); v == nil {
			return
		} else if p.row == nil {
			p.loadPanicked(v, debug.Stack())
		} else {
			p.rejectWake(due, rec, fmt.Errorf("panic: %v", v), debug.Stack())
		}
	}()
	if !p.set(r, upTo, schemas.Coordinates{Partition: p.number}, nil) {
		return
	}
	p.wakes++
	err := p.Def.Wake(&p.call)
	if err == nil && !p.check() {
		err = p.stuck
	}
	if err != nil {
		p.rejectWake(due, rec, err, nil)
		return
	}
	p.take()
}

// rejectWake undoes a wake and takes the deadline off its row, so that it does not come again. As with
// records, only careful steps can be undone.
func (p *Partition) rejectWake(due int64, rec *kgo.Record, cause error, stack []byte) {
	r := p.row
	if p.fatal != nil { // a store that cannot be read is no wake's fault
		return
	}
	if !p.careful {
		p.stuck = fmt.Errorf("wake of row %q of %s/%d: %w", r.key, p.Topic, p.number, cause)
		return
	}
	if !p.putBack() {
		return
	}
	p.row = nil
	p.Def.Unwake(r.val)
	if r.enc, p.fatal = p.Def.AppendRow([]byte{}, r.val); p.fatal != nil {
		p.fatal = p.rowError(r.key, p.fatal)
		return
	}
	p.touch(r)
	p.bury(&schemas.DeadLetter{
		Topic: p.Topic, Partition: p.number, Offset: -1, Key: r.raw, WakeMs: due, TimeMs: due, Error: cause.Error(), Stack: string(stack),
	})
	p.until = p.Now().Add(carefully)
	wake := &schemas.RejectedWake{At: p.turn, DeadlineMs: due}
	if rec == nil {
		p.rejectedWakes = append(p.rejectedWakes, wake)
		return
	}
	wake.At = rec.Offset
	p.journal.RejectedWake(wake)
}
