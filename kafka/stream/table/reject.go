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

// panicked is called when a step or a wake panicked; it left the row unusable.
func (p *Partition) panicked(rec *kgo.Record, v any, stack []byte) {
	err := fmt.Errorf("panic: %v", v)
	switch {
	case p.row == nil: // no step yet: the row itself could not be read
		p.fatal = fmt.Errorf("load a row of %s/%d: %w\n%s", p.Topic, p.number, err, stack)
	case p.waking:
		p.fatal = fmt.Errorf("wake of row %q of %s/%d: %w\n%s", p.row.key, p.Topic, p.number, err, stack)
	default:
		p.undo(rec, err, stack)
	}
}

// undo is called when a step must not count. Only careful steps can be undone: else the transaction
// is aborted, and the records that come again are stepped with care.
func (p *Partition) undo(rec *kgo.Record, cause error, stack []byte) {
	if !p.careful {
		p.stuck = fmt.Errorf("%s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, cause)
		return
	}
	p.stuck = nil
	r := p.row
	r.val, r.enc = nil, p.before
	if p.before != nil {
		var err error
		if r.val, err = p.Def.DecodeRow(p.before); err != nil {
			p.fatal = p.rowError(r.key, err)
			return
		}
	}
	clear(p.call.Out)
	p.reject(rec, cause, stack)
}

// reject sends a record to the dead letters, in the same transaction.
func (p *Partition) reject(rec *kgo.Record, cause error, stack []byte) {
	at := schemas.Coordinates{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	value := kafka.Original(rec)
	d := &schemas.DeadLetter{
		Topic: at.Topic, Partition: at.Partition, Offset: at.Offset, Key: rec.Key, Value: value, By: p.Def.Name,
		Error: cut(cause.Error(), errorBytes), Stack: cut(string(stack), stackBytes), TimeMs: rec.Timestamp.UnixMilli(),
	}
	if most := p.MaxBytes(topics.DeadLetters.Name) - letterOverhead - stackBytes - errorBytes; len(rec.Key)+len(value) > most {
		d.Value, d.Error = nil, fmt.Sprintf("%s (the value of %d bytes does not fit in here)", d.Error, len(value))
	}
	letter, err := topics.DeadLetters.Codec.Append(nil, d)
	if err != nil {
		p.fatal = fmt.Errorf("dead letter for %s: %w", at, err)
		return
	}
	p.out = append(p.out, kgo.Record{Topic: topics.DeadLetters.Name, Key: []byte(at.String()), Value: letter})
	if p.dead++; p.dead == 1 {
		p.first = at.String() + ": " + cut(d.Error, firstBytes)
	}
	p.journal.Rejected(at.Offset)
	if !errors.Is(cause, schemas.ErrUndecodable) {
		p.until = p.Now().Add(carefully)
	}
	p.Log.Warn("rejected", "topic", at.Topic, "partition", at.Partition, "offset", at.Offset, "key", string(rec.Key), "err", d.Error)
}

// Judged is what the open transaction did with records so far: how many were stepped, the rejected
// included, how many were rejected, and where the first of those lies and why.
func (p *Partition) Judged() (stepped, rejected int64, first string) { return p.live, p.dead, p.first }

// cut shortens a text and makes it one that protobuf takes.
func cut(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "\uFFFD") }
