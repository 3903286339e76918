package drain

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/sinks"
)

// replay inserts what earlier owners may have inserted, as they sealed it.
func (w *partition) replay(soft, hard context.Context) error {
	c, err := w.from.confirmation()
	if err != nil {
		return fmt.Errorf("%s/%d: the commit at offset %d of group %s was not made by a sink: %w: what was sent is unknown; compare sink_ledger with the group's offset before setting it anew", w.topic, w.id, w.from.offset, w.s.Group(), err)
	}
	if w.progress, err = sinks.Resume(c); err != nil {
		return fmt.Errorf("%s/%d: %w", w.topic, w.id, err)
	}
	w.position = c.Offset
	if w.from.offset < 0 {
		if err := w.refuseForgotten(soft); err != nil {
			return err
		}
	}
	for _, r := range c.Intent.Pending {
		rows, err := w.rebuild(soft, hard, r)
		if err != nil {
			return err
		}
		w.sealed[r] = rows
		if err := w.write(soft, hard, r, true); err != nil {
			return err
		}
	}
	return nil
}

// refuseForgotten stops a partition whose commits are gone although its records landed: starting
// over would count them twice under other tokens.
func (w *partition) refuseForgotten(soft context.Context) error {
	l, ok := w.s.Sink.(sinks.Ledger)
	if !ok {
		return nil
	}
	var landed int64
	err := w.insist(soft, func() (err error) { landed, err = l.Landed(soft, w.batch(sinks.Range{}, nil)); return err })
	if err == nil && landed > 0 {
		err = fmt.Errorf("%s/%d: group %s holds no offset, but the sink has records up to %d: Kafka forgot the group (offsets.retention.minutes) or it was deleted; set its offset to %d with Kafka's own tools",
			w.topic, w.id, w.s.Group(), landed-1, landed)
	}
	return err
}

// rebuild reads exactly the records of a range again.
func (w *partition) rebuild(soft, hard context.Context, r sinks.Range) ([]sinks.Rows, error) {
	var all []sinks.Rows
	for expect := r.First; ; {
		rec, err := w.await(soft)
		if err != nil {
			return nil, err
		}
		if rec.Attrs.IsControl() && rec.Offset < r.Last {
			continue
		}
		if rec.Attrs.IsControl() || rec.Offset > r.Last || expect == r.First && rec.Offset != r.First {
			what := "a record"
			if rec.Attrs.IsControl() {
				what = "a marker"
			}
			return nil, fmt.Errorf("%s/%d: range %s may have been inserted, but cannot be built again: at %d the log has %s at %d: retention or compaction removed records; restate that time", w.topic, w.id, r, expect, what, rec.Offset)
		}
		rows, err := w.decode(soft, hard, rec)
		if err != nil {
			return nil, err
		}
		if rows != nil {
			all = append(all, rows)
		}
		if rec.Offset == r.Last {
			return all, nil
		}
		expect = rec.Offset + 1
	}
}

// await returns the next record, for a rebuild.
func (w *partition) await(soft context.Context) (*kgo.Record, error) {
	for {
		if rec := w.in.pop(); rec != nil {
			w.position = rec.Offset + 1
			return rec, nil
		}
		select {
		case <-soft.Done():
			return nil, errHandedOver
		case err := <-w.ended:
			return nil, err
		case <-w.in.filled:
		}
	}
}
