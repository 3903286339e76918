package table

import (
	"fmt"
	"math"
	"runtime/debug"

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
	before := len(p.woken)
	defer func() { p.journal.Woken(upTo, len(p.woken)-before, p.whole, p.store.Offset()+1) }()
	for ; most > 0 && !p.broken(); most-- {
		d, ok := p.deadlines.first()
		if !ok || d.ms > upTo {
			return
		}
		p.deadlines.set(d.key, 0)
		p.woken = append(p.woken, d)
		p.wakeKey(d.key, upTo)
	}
}

func (p *Partition) wakeKey(key string, upTo int64) {
	defer func() {
		if v := recover(); v != nil {
			p.panicked(nil, v, debug.Stack())
		}
	}()
	p.row = nil
	r, err := p.load([]byte(key))
	if err != nil {
		p.fatal = err
		return
	}
	if due := p.Def.WakeMS(r.val); due != 0 && due <= upTo {
		p.Count.Wakes.Add(1)
		p.wake(r, upTo)
	}
}

// wake runs a row's deadlines up to a time. There is no record to blame for what goes wrong.
func (p *Partition) wake(r *row, upTo int64) bool {
	if !p.set(r, upTo, schemas.Coordinates{Partition: p.number}, nil) {
		return false
	}
	p.waking = true
	err := p.Def.Wake(&p.call)
	p.waking = false
	if err == nil && !p.check() {
		err, p.stuck = p.stuck, nil
	}
	if err != nil {
		p.fatal = fmt.Errorf("wake of row %q of %s/%d: %w", r.key, p.Topic, p.number, err)
		return false
	}
	p.take()
	return true
}
