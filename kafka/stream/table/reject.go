package table

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const (
	// carefully is how long a partition steps with care after a step failed: as long as that, a bad
	// record costs no aborted transaction.
	carefully = time.Minute
	// stackBytes and errorBytes bound what a dead letter tells of the failure.
	stackBytes = 16 << 10
	errorBytes = 4 << 10
	// firstBytes bounds what Judged tells of an error.
	firstBytes = 500
	// letterOverhead is the most that a dead letter adds to stack, error and record.
	letterOverhead = 4 << 10
)

// panicked is called when a step panicked; it left the row unusable.
func (p *Partition) panicked(rec *kgo.Record, v any, stack []byte) {
	if p.row == nil { // no step yet
		p.loadPanicked(v, stack)
		return
	}
	p.undo(rec, fmt.Errorf("panic: %v", v), stack)
}

// loadPanicked is called when the row itself could not be read: nobody's record is to blame.
func (p *Partition) loadPanicked(v any, stack []byte) {
	p.fatal = fmt.Errorf("load a row of %s/%d: panic: %v\n%s", p.Topic, p.number, v, stack)
}

// undo is called when a step must not count. Only careful steps can be undone: else the transaction
// is aborted, and the records that come again are stepped with care.
func (p *Partition) undo(rec *kgo.Record, cause error, stack []byte) {
	if !p.careful {
		p.stuck = fmt.Errorf("%s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, cause)
		return
	}
	if p.putBack() {
		p.reject(rec, cause, stack)
	}
}

// putBack makes the row what it was before the careful step, whose outcome is dropped.
func (p *Partition) putBack() bool {
	p.stuck = nil
	r := p.row
	r.val, r.enc = nil, p.before
	if p.before != nil {
		var err error
		if r.val, err = p.Def.DecodeRow(p.before); err != nil {
			p.fatal = p.rowError(r.key, err)
			return false
		}
	}
	clear(p.call.Out)
	return true
}

// reject sends a record to the dead letters, in the same transaction.
func (p *Partition) reject(rec *kgo.Record, cause error, stack []byte) {
	p.bury(&schemas.DeadLetter{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: rec.Key, Value: kafka.Original(rec),
		Error: cause.Error(), Stack: string(stack), TimeMs: rec.Timestamp.UnixMilli(),
	})
	p.journal.Rejected(rec.Offset)
	if !errors.Is(cause, schemas.ErrUndecodable) {
		p.until = p.Now().Add(carefully)
	}
}

// bury adds a dead letter, cut to its bounds, to the transaction.
func (p *Partition) bury(d *schemas.DeadLetter) {
	d.By, d.Error, d.Stack = p.Def.Name, cut(d.Error, errorBytes), cut(d.Stack, stackBytes)
	if most := p.MaxBytes(topics.DeadLetters.Name) - letterOverhead - stackBytes - errorBytes; len(d.Key)+len(d.Value) > most {
		d.Value, d.Error = nil, fmt.Sprintf("%s (the value of %d bytes does not fit in here)", d.Error, len(d.Value))
	}
	name := kafka.Where(d)
	letter, err := topics.DeadLetters.Codec.Append(nil, d)
	if err != nil {
		p.fatal = fmt.Errorf("dead letter for %s: %w", name, err)
		return
	}
	p.out = append(p.out, kgo.Record{Topic: topics.DeadLetters.Name, Key: []byte(name), Value: letter})
	if p.dead++; p.dead == 1 {
		p.first = name + ": " + cut(d.Error, firstBytes)
	}
	p.Log.Warn("rejected", "topic", d.Topic, "partition", d.Partition, "offset", d.Offset, "key", string(d.Key), "wake_ms", d.WakeMs, "err", d.Error)
}

// Judged is what the open transaction did so far: how many records were stepped and rows woken, the
// rejected included, how many were rejected, and where the first of those lies and why.
func (p *Partition) Judged() (stepped, rejected int64, first string) {
	return p.live + p.wakes, p.dead, p.first
}

// Stepped is how many records the open transaction stepped or rejected so far; wakes are none.
func (p *Partition) Stepped() int64 { return p.live }

// cut shortens a text and makes it one that protobuf takes.
func cut(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "\uFFFD") }
