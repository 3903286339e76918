package journal

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
)

// chunkBytes is about how much one record of the journal holds; a transaction with more has several.
const chunkBytes = 256 << 10

// Recorder notes what is stepped in one partition. It belongs to the partition's goroutine. A nil
// Recorder notes nothing.
type Recorder struct {
	topic     string
	partition int32
	entry     schemas.JournalEntry
	steps     []*schemas.JournalStep // used again in every transaction
	n         int                    // of them, in this one
	tableNext int64
	whole     []int64 // in force in the last step
	rejected  int64   // the last offset
}

// NewRecorder makes the recorder of a partition for the journal in topic; nil unless the processor
// has a journal. parts says of how many partitions each of its Tables has an offset in force.
func NewRecorder(def *processors.Def, parts []int32, topic string, partition int32, version string) *Recorder {
	if !def.Journal {
		return nil
	}
	r := &Recorder{topic: topic, partition: partition, entry: schemas.JournalEntry{Version: version}}
	for _, in := range def.Inputs {
		r.entry.Inputs = append(r.entry.Inputs, in.Name)
	}
	for _, w := range def.Whole {
		r.entry.Whole = append(r.entry.Whole, w.Topic().Name)
	}
	for i, t := range def.Tables {
		if i == 0 {
			r.entry.Parts = slices.Repeat([]int32{1}, len(def.Whole))
		}
		r.entry.Whole, r.entry.Parts = append(r.entry.Whole, t.Topic().Name), append(r.entry.Parts, parts[i])
	}
	return r
}

// Batch notes that records of an input come now, while whole is, per whole topic and then per partition of
// other processors' tables, the first offset that is not in force; whole must not change any more. tableNext is the first offset of the table that the
// local store has not seen.
func (r *Recorder) Batch(input int, recs []*kgo.Record, whole []int64, tableNext int64) {
	if r == nil || !slices.ContainsFunc(recs, func(rec *kgo.Record) bool { return !rec.Attrs.IsControl() }) {
		return
	}
	first, last := recs[0].Offset, recs[len(recs)-1].Offset
	if r.n > 0 && slices.Equal(r.whole, whole) {
		if s := r.steps[r.n-1]; s.WakeMs == 0 && s.Input == int32(input) {
			s.Last = last
			return
		}
	}
	s := r.step(whole, tableNext)
	s.Input, s.First, s.Last = int32(input), first, last
	r.rejected = first
}

// Rejected notes that a record of the last batch went to the dead letters.
func (r *Recorder) Rejected(offset int64) {
	if r == nil {
		return
	}
	s := r.steps[r.n-1]
	s.Rejected = append(s.Rejected, offset-r.rejected)
	r.rejected = offset
}

// RejectedWake notes that a wake that came before a record of the last batch went to the dead letters. At
// is the record's offset; the recorder owns wake from now on.
func (r *Recorder) RejectedWake(wake *schemas.RejectedWake) {
	if r == nil {
		return
	}
	s := r.steps[r.n-1]
	wake.At -= s.First
	s.RejectedWakes = append(s.RejectedWakes, wake)
}

// Woken notes that count deadlines not after upToMS, Unix ms, were taken from the index, and which of the
// wakes went to the dead letters.
func (r *Recorder) Woken(upToMS int64, count int, rejected []*schemas.RejectedWake, whole []int64, tableNext int64) {
	if r == nil || count == 0 {
		return
	}
	s := r.step(whole, tableNext)
	s.WakeMs, s.Woken, s.RejectedWakes = upToMS, int32(count), rejected
}

func (r *Recorder) step(whole []int64, tableNext int64) *schemas.JournalStep {
	if r.n == len(r.steps) {
		r.steps = append(r.steps, &schemas.JournalStep{})
	}
	s := r.steps[r.n]
	*s = schemas.JournalStep{Rejected: s.Rejected[:0]}
	if r.n == 0 {
		r.tableNext = tableNext
	}
	if r.n == 0 || !slices.Equal(r.whole, whole) {
		s.WholeNext, r.whole = whole, whole
	}
	r.n++
	return s
}

// Append appends the journal's records of this transaction to out: none when nothing was stepped, one
// else, more only for transactions of very many steps.
func (r *Recorder) Append(out []kgo.Record) ([]kgo.Record, error) {
	if r == nil {
		return out, nil
	}
	for from := 0; from < r.n; {
		to, size := from, 0
		for ; to < r.n && size < chunkBytes; to++ {
			size += 40 + 10*(len(r.steps[to].WholeNext)+len(r.steps[to].Rejected)+2*len(r.steps[to].RejectedWakes))
		}
		r.entry.Steps, r.entry.More, r.entry.TableNext = r.steps[from:to], to < r.n, r.tableNext
		value, err := r.entry.MarshalVT()
		if err != nil {
			return out, fmt.Errorf("journal %d steps of %s/%d: %w", r.n, r.topic, r.partition, err)
		}
		out = append(out, kgo.Record{Topic: r.topic, Partition: r.partition, Value: value})
		from = to
	}
	return out, nil
}

// Reset forgets the transaction: it was committed or aborted.
func (r *Recorder) Reset() {
	if r != nil {
		r.n = 0
	}
}
