package journal

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

var entries schemas.Proto[schemas.JournalEntry, *schemas.JournalEntry]

// partition is one under replay.
type partition struct {
	*replay
	number int32
	inputs []*tape
	views  *reader
	rows   map[string][]byte // as committed
	wrote  map[string]int64  // the journal's entry that last wrote a row
	agenda agenda
	// since has, for rows that entries behind certain wrote, every value from there on.
	since map[string][][]byte
	first *schemas.JournalEntry

	// Of the transaction:
	at     *kgo.Record // its entry
	open   map[string]*row
	popped []string
	items  map[*topics.Spec][]any
	call   processors.Call
}

// row is a decoded row of the transaction.
type row struct {
	val   any
	dirty bool
}

// open returns a partition also on an error, to be closed.
func (r *replay) open(ctx context.Context, number int32) (*partition, error) {
	p := &partition{
		replay: r, number: number, rows: map[string][]byte{}, wrote: map[string]int64{},
		agenda: agenda{now: map[string]int64{}}, since: map[string][][]byte{}, open: map[string]*row{}, items: map[*topics.Spec][]any{},
	}
	var err error
	if p.views, err = r.whole.open(ctx, number); err != nil {
		return p, err
	}
	for _, in := range r.def.Inputs {
		t, err := newTape(r.cfg, in.Name, number, r.reads[in.Name][number])
		if err != nil {
			return p, err
		}
		p.inputs = append(p.inputs, t)
	}
	return p, nil
}

func (p *partition) close() {
	for _, t := range p.inputs {
		t.close()
	}
}

// entry does one record of the journal again.
func (p *partition) entry(ctx context.Context, rec *kgo.Record) (*Difference, error) {
	e, err := entries.Decode(rec.Value)
	if err != nil {
		return nil, err
	}
	p.at = rec
	if p.first == nil {
		p.first = e
	}
	p.report.wroteBy(e.Version)
	inputs, whole, err := p.names(e)
	if err != nil {
		return nil, err
	}
	for _, s := range e.Steps {
		for i, next := range s.WholeNext {
			p.views.seek(whole[i].shelf, whole[i].view, next)
		}
		var d *Difference
		if s.WakeMs != 0 {
			d, err = p.wakes(s)
		} else {
			d, err = p.batch(ctx, inputs[s.Input], s)
		}
		if d != nil || err != nil {
			return d, err
		}
	}
	if e.More {
		return nil, nil
	}
	p.report.Transactions++
	return nil, p.commit()
}

// followed is what an offset of whole_next is of.
type followed struct {
	shelf
	view int // of a whole topic; -1: it is a table
}

// names maps the entry's inputs and whole topics to the Def's: their order may have changed. It also
// checks that the steps name no others.
func (p *partition) names(e *schemas.JournalEntry) (inputs []int, whole []followed, err error) {
	for _, name := range e.Inputs {
		i := slices.IndexFunc(p.def.Inputs, func(t *topics.Spec) bool { return t.Name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("%s reads %s no more, so nobody can step its records", p.def.Name, name)
		}
		inputs = append(inputs, i)
	}
	for i, name := range e.Whole {
		parts := int32(1)
		if i < len(e.Parts) {
			parts = e.Parts[i]
		}
		w := slices.IndexFunc(p.def.Whole, func(w processors.WholeDef) bool { return w.Topic().Name == name })
		t := slices.IndexFunc(p.def.Tables, func(t processors.TableDef) bool { return t.Topic().Name == name })
		if w < 0 && t < 0 {
			return nil, nil, fmt.Errorf("%s reads %s no more", p.def.Name, name)
		}
		if parts < 0 || int(parts) > max(1, len(p.reads[name])) {
			return nil, nil, fmt.Errorf("%w: %d partitions of %s", schemas.ErrUndecodable, parts, name)
		}
		for n := range parts {
			f := followed{shelf{name, n}, w}
			if t >= 0 && !p.def.Tables[t].Whole {
				f.partition = p.number
			}
			whole = append(whole, f)
		}
	}
	for _, s := range e.Steps {
		if s.Input < 0 || int(s.Input) >= len(inputs) || len(s.WholeNext) > len(whole) {
			return nil, nil, fmt.Errorf("%w: input %d of %d, %d of %d whole topics", schemas.ErrUndecodable, s.Input, len(inputs), len(s.WholeNext), len(whole))
		}
	}
	return inputs, whole, nil
}

// batch steps the records of a range again. Every record that the topic holds must be in some range.
func (p *partition) batch(ctx context.Context, input int, s *schemas.JournalStep) (*Difference, error) {
	t := p.inputs[input]
	if t.start > s.First || t.end <= s.Last {
		return nil, fmt.Errorf("%w: the journal names offsets %d to %d of %s/%d, which has %d to %d: retention, or somebody, took the rest",
			ErrGone, s.First, s.Last, t.topic, t.partition, t.start, t.end-1)
	}
	rejected := slices.Clone(s.Rejected)
	for i, at := 0, s.First; i < len(rejected); i++ {
		at += rejected[i]
		rejected[i] = at
	}
	done := 0 // of the rejected wakes
	for {
		rec, err := t.peek(ctx)
		if err != nil {
			return nil, err
		}
		if rec == nil || rec.Offset > s.Last {
			break
		}
		if rec.Offset < s.First {
			return nil, fmt.Errorf("%w: the journal passes over %s: was it stepped before there was a journal?", ErrGone, where(rec))
		}
		bad := len(rejected) > 0 && rejected[0] == rec.Offset
		if bad {
			rejected = rejected[1:]
		}
		if err := p.frames.Record(ctx, p.def.Inputs[input], rec); err != nil {
			return nil, err
		}
		wakes, next := rejectedWakes(s.RejectedWakes[done:], rec.Offset-s.First)
		done += next
		if d, err := p.record(input, rec, bad, wakes); d != nil || err != nil {
			return d, err
		}
		t.take()
	}
	if len(rejected) > 0 {
		return nil, fmt.Errorf("%w: rejected %s/%d/%d is not there", ErrGone, t.topic, t.partition, rejected[0])
	}
	return p.unmet(s, done), nil
}

// rejectedWakes are the deadlines of the first of all that came at one record or row, and how many those are.
func rejectedWakes(all []*schemas.RejectedWake, at int64) (ms []int64, n int) {
	for n < len(all) && all[n].At == at {
		ms = append(ms, all[n].DeadlineMs)
		n++
	}
	return ms, n
}

// unmet is the difference that not all wakes that were rejected in a step came again; nil: they did.
func (p *partition) unmet(s *schemas.JournalStep, done int) *Difference {
	if done == len(s.RejectedWakes) {
		return nil
	}
	return p.differs(where(p.at), "", fmt.Sprintf("%d wakes were rejected then, and %d came now", len(s.RejectedWakes), done))
}

// wakes wakes rows again.
func (p *partition) wakes(s *schemas.JournalStep) (*Difference, error) {
	done := 0 // of the rejected wakes
	for n := range s.Woken {
		key, ok := p.agenda.pop(s.WakeMs)
		if !ok {
			return p.differs(where(p.at), "", fmt.Sprintf("%d rows were woken up to %d, %d have such a deadline", s.Woken, s.WakeMs, n)), nil
		}
		p.popped = append(p.popped, key)
		p.report.Wakes++
		r, err := p.load(key)
		if err != nil {
			return nil, err
		}
		rejected, next := rejectedWakes(s.RejectedWakes[done:], int64(n))
		done += next
		if d, err := p.wake(key, r, s.WakeMs, where(p.at), rejected); d != nil || err != nil {
			return d, err
		}
	}
	return p.unmet(s, done), nil
}

// commit makes the transaction's rows and blocks count.
func (p *partition) commit() error {
	for key, r := range p.open {
		if !r.dirty {
			continue
		}
		var value []byte // none: deleted
		if r.val != nil {
			var err error
			if value, err = p.encode(r.val); err != nil {
				return p.rowError(key, err)
			}
		}
		p.write(key, value)
		p.agenda.set(key, p.def.WakeMS(r.val))
	}
	for _, key := range p.popped { // a wake that changed nothing
		p.agenda.set(key, p.def.WakeMS(p.open[key].val))
	}
	for topic, items := range p.items {
		if err := p.outputs.expectBlock(topic, p.number, items, p.at); err != nil {
			return err
		}
	}
	clear(p.open)
	clear(p.items)
	p.popped = p.popped[:0]
	return nil
}

func (p *partition) write(key string, value []byte) {
	if p.at.Offset >= p.certain[p.number].end {
		if len(p.since[key]) == 0 {
			p.since[key] = [][]byte{p.rows[key]}
		}
		p.since[key] = append(p.since[key], value)
	}
	p.wrote[key] = p.at.Offset
	if value == nil {
		delete(p.rows, key)
		return
	}
	p.rows[key] = value
}

// encode is never nil: an empty row is no missing row.
func (p *partition) encode(row any) (b []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("encode: panic: %v", v)
		}
	}()
	return p.def.AppendRow([]byte{}, row)
}

func (p *partition) load(key string) (*row, error) {
	if r := p.open[key]; r != nil {
		return r, nil
	}
	r := &row{}
	if b, ok := p.rows[key]; ok {
		var err error
		if r.val, err = p.def.DecodeRow(b); err != nil {
			return nil, p.rowError(key, err)
		}
	}
	p.open[key] = r
	return r, nil
}

func (p *partition) rowError(key string, err error) error {
	return fmt.Errorf("row %q of %s/%d: %w", key, p.table, p.number, err)
}

func (p *partition) differs(at schemas.Coordinates, key, what string) *Difference {
	return &Difference{At: at, Key: key, What: what + fmt.Sprintf(" (journal entry %s)", where(p.at))}
}
