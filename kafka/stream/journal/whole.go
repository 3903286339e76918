package journal

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
)

// library holds every record of the whole topics, to make the views of any moment.
type library struct {
	defs    []processors.WholeDef
	records [][]*kgo.Record
	// holed names the topics that lack records.
	holed []string
}

func readWhole(ctx context.Context, cfg kafka.Config, def *processors.Def, ends map[string]spans) (*library, error) {
	l := &library{defs: def.Whole, records: make([][]*kgo.Record, len(def.Whole))}
	for i, w := range def.Whole {
		name := w.Topic().Name
		t, err := newTape(cfg, name, 0, ends[name][0])
		if err != nil {
			return nil, err
		}
		err = t.each(ctx, func(r *kgo.Record) error {
			l.records[i] = append(l.records[i], r)
			return nil
		})
		t.close()
		if err != nil {
			return nil, err
		}
		if t.holes {
			l.holed = append(l.holed, name)
		}
	}
	return l, nil
}

// reader is where one partition stands in the library.
type reader struct {
	*library
	views  []any
	folded []int   // records
	next   []int64 // offsets
}

func (l *library) open() *reader {
	r := &reader{library: l, views: make([]any, len(l.defs)), folded: make([]int, len(l.defs)), next: make([]int64, len(l.defs))}
	for i, d := range l.defs {
		r.views[i] = d.Zero()
	}
	return r
}

// seek brings view i to an offset. Another instance may not have read as far as the one before it: then
// it goes back, and begins anew.
func (r *reader) seek(i int, next int64) {
	if next < r.next[i] {
		r.views[i], r.folded[i] = r.defs[i].Zero(), 0
	}
	r.next[i] = next
	for ; r.folded[i] < len(r.records[i]); r.folded[i]++ {
		rec := r.records[i][r.folded[i]]
		if rec.Offset >= next {
			return
		}
		if v, err := fold(r.defs[i], r.views[i], rec); err == nil { // else it was left out then, too
			r.views[i] = v
		}
	}
}

func fold(d processors.WholeDef, view any, rec *kgo.Record) (next any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return d.Fold(view, string(rec.Key), rec.Value)
}
