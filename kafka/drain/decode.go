package drain

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/sinks"
)

// decode returns nil rows for poison, once the dead letters hold it.
func (w *partition) decode(soft, hard context.Context, rec *kgo.Record) (sinks.Rows, error) {
	rows, stack, err := w.try(rec)
	if err == nil {
		return rows, nil
	}
	x := rejection{by: w.s.Group(), record: rec, err: err, stack: stack}
	err = w.insist(soft, func() error { return bury(hard, w.commits.cl, x) })
	if err != nil {
		return nil, err
	}
	w.set(func(s *PartitionStatus) { s.Poison++ })
	w.s.log.Warn("rejected", "topic", w.topic, "partition", w.id, "offset", rec.Offset, "err", x.err)
	return nil, nil
}

// try takes a panic for poison: one record must not stop a partition for ever.
func (w *partition) try(rec *kgo.Record) (rows sinks.Rows, stack string, err error) {
	defer func() {
		if p := recover(); p != nil {
			rows, stack, err = nil, string(debug.Stack()), fmt.Errorf("%w: panic: %v", sinks.ErrPoison, p)
		}
	}()
	rows, err = w.s.Sink.Decode(sinks.Record{Offset: rec.Offset, Key: rec.Key, Value: rec.Value, Time: rec.Timestamp})
	return rows, "", err
}
