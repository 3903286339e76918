package table

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
)

// ErrRetry marks a failure that is gone when the transaction is aborted and its records come again:
// they are stepped with care then, and the one that failed goes to the dead letters.
var ErrRetry = errors.New("a step failed")

// Outgoing closes the transaction on this side and returns the records to produce: rows to their own
// partition of the table, blocks to the same partition of theirs, everything else by key. They stay
// untouched until Committed or Aborted. An error means abort; it wraps ErrRetry when that heals it,
// and names the row or record otherwise.
func (p *Partition) Outgoing() ([]*kgo.Record, error) {
	if p.fatal == nil && p.stuck == nil {
		p.encode()
	}
	if p.fatal == nil && p.stuck == nil {
		p.fatal = p.pack()
	}
	if p.fatal != nil {
		return nil, p.fatal
	}
	if p.stuck != nil {
		return nil, fmt.Errorf("%w: %w", ErrRetry, p.stuck)
	}
	recs := make([]*kgo.Record, 0, len(p.saved)+len(p.out))
	for i := range p.saved {
		recs = append(recs, &p.saved[i])
	}
	for i := range p.out {
		recs = append(recs, &p.out[i])
	}
	return recs, nil
}

// encode makes the table's records of the dirty rows.
func (p *Partition) encode() {
	if p.buf == nil {
		p.buf = make([]byte, 0, 4<<10) // never nil: an empty row is no tombstone
	}
	for _, r := range p.dirty {
		rec := kgo.Record{Topic: p.Topic, Partition: p.number, Key: r.raw}
		if r.val != nil {
			var err error
			if rec.Value, err = p.encoding(r); err == nil && r.enc == nil {
				err = p.checkRow(len(rec.Value)) // a careful step checked its own; a row that only lost its deadline is not larger
			}
			if err != nil {
				p.failed(r, err)
				return
			}
		}
		p.saved = append(p.saved, rec)
	}
}

// encoding is a row's encoding, in the buffer that the transaction owns.
func (p *Partition) encoding(r *row) (value []byte, err error) {
	if r.enc != nil {
		return r.enc, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("encode: panic: %v\n%s", v, debug.Stack())
		}
	}()
	start := len(p.buf)
	if p.buf, err = p.Def.AppendRow(p.buf, r.val); err != nil {
		return nil, err
	}
	return p.buf[start:len(p.buf):len(p.buf)], nil
}

// failed is called when a row cannot be stored. Some record or wake made it so; a careful step finds which.
func (p *Partition) failed(r *row, err error) {
	err = p.rowError(r.key, err)
	if p.careful {
		p.fatal = err
		return
	}
	p.stuck = err
}

func (p *Partition) pack() error {
	for _, b := range p.blocks {
		values, err := b.topic.Pack(b.items)
		if err != nil {
			return fmt.Errorf("pack %d items for %s/%d: %w", len(b.items), b.topic.Name, p.number, err)
		}
		for _, v := range values {
			if most := p.MaxBytes(b.topic.Name); len(v) > most {
				return fmt.Errorf("a block for %s/%d has %d bytes, at most %d are taken", b.topic.Name, p.number, len(v), most)
			}
			p.out = append(p.out, kgo.Record{Topic: b.topic.Name, Partition: p.number, Value: v})
		}
	}
	var err error
	p.out, err = p.journal.Append(p.out)
	return err
}

// Committed is called when the transaction was committed: its rows reach the local store, with the
// offset of the last of them.
func (p *Partition) Committed() error {
	rows := make([]store.Row, len(p.saved))
	offset := int64(-1)
	for i := range p.saved {
		rows[i] = store.Row{Key: p.saved[i].Key, Value: p.saved[i].Value}
		offset = max(offset, p.saved[i].Offset)
	}
	err := p.apply(rows, offset)
	for i, r := range p.dirty {
		r.dirty, r.enc = false, nil
		p.rows.resize(r, len(p.saved[i].Value))
		p.deadlines.set(r.key, p.Def.WakeMS(r.val))
	}
	for _, d := range p.woken { // a wake that changed nothing, because there was nothing to wake
		if r := p.rows.get([]byte(d.key)); r != nil {
			p.deadlines.set(d.key, p.Def.WakeMS(r.val))
		}
	}
	for i := range p.inputs {
		p.inputs[i].keptNext, p.inputs[i].keptLast = p.inputs[i].next, p.inputs[i].last
	}
	p.Count.Rows.Add(int64(len(rows)))
	p.Count.DeadLetters.Add(p.dead)
	p.careful = p.Now().Before(p.until)
	p.rows.rotate()
	clear(p.dirty)
	p.dirty, p.out, p.saved, p.buf = p.dirty[:0], p.out[:0], p.saved[:0], p.buf[:0]
	p.blocks, p.woken, p.dead = nil, p.woken[:0], 0
	p.live, p.wakes, p.first = 0, 0, ""
	p.journal.Reset()
	return err
}

// apply skips a store that was closed meanwhile: it falls behind the topic, which recovery mends.
func (p *Partition) apply(rows []store.Row, offset int64) error {
	if len(rows) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		return nil
	}
	return p.store.Later(rows, offset)
}

// Aborted is called when the transaction was aborted: everything since the last commit is undone,
// and the records will come again.
func (p *Partition) Aborted() {
	if p.stuck != nil {
		p.careful, p.until = true, p.Now().Add(carefully)
	}
	for _, d := range p.woken {
		p.deadlines.set(d.key, d.ms)
	}
	for i := range p.inputs {
		p.inputs[i].next, p.inputs[i].last = p.inputs[i].keptNext, p.inputs[i].keptLast
	}
	p.rows.drop()
	p.row, p.stuck = nil, nil
	// The client may still hold what was produced, so nothing is used again.
	p.dirty, p.out, p.saved, p.buf, p.blocks, p.woken, p.dead = nil, nil, nil, nil, nil, nil, 0
	p.live, p.wakes, p.first = 0, 0, ""
	p.journal.Reset()
}
