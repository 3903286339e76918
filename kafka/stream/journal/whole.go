package journal

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/placement"
	"github.com/dwellhq/dwell/processors"
)

// shelf is one partition that is followed: a whole topic's only one, or one of another processor's table.
type shelf struct {
	topic     string
	partition int32
}

// library holds every record of the whole topics and of other processors' tables, to make what was in
// force at any moment.
type library struct {
	def     *processors.Def
	cfg     kafka.Config
	ends    map[string]spans
	records map[shelf][]*kgo.Record
	// holed names the topics that lack records.
	holed []string
}

// readWhole reads all but joined tables, of which each partition needs its own.
func readWhole(ctx context.Context, cfg kafka.Config, def *processors.Def, ends map[string]spans) (*library, error) {
	l := &library{def: def, cfg: cfg, ends: ends, records: map[shelf][]*kgo.Record{}}
	for _, w := range def.Whole {
		if err := l.read(ctx, shelf{w.Topic().Name, 0}); err != nil {
			return nil, err
		}
	}
	for _, d := range def.Tables {
		if !d.Whole {
			continue
		}
		for _, n := range ends[d.Topic().Name].numbers() {
			if err := l.read(ctx, shelf{d.Topic().Name, n}); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

func (l *library) read(ctx context.Context, s shelf) error {
	t, err := newTape(l.cfg, s.topic, s.partition, l.ends[s.topic][s.partition])
	if err != nil {
		return err
	}
	defer t.close()
	var all []*kgo.Record
	err = t.each(ctx, func(r *kgo.Record) error {
		all = append(all, r)
		return nil
	})
	l.records[s] = all
	if t.holes && !slices.Contains(l.holed, s.topic) {
		l.holed = append(l.holed, s.topic)
	}
	return err
}

// reader is where one partition stands in the library.
type reader struct {
	*library
	number int32
	views  []any
	tables map[shelf]map[string][]byte
	folded map[shelf]int   // records
	next   map[shelf]int64 // offsets
}

// open makes the reader of a partition, which drops the joined tables of the one before.
func (l *library) open(ctx context.Context, number int32) (*reader, error) {
	r := &reader{library: l, number: number, tables: map[shelf]map[string][]byte{}, folded: map[shelf]int{}, next: map[shelf]int64{}}
	for _, d := range l.def.Whole {
		r.views = append(r.views, d.Zero())
	}
	for _, d := range l.def.Tables {
		if d.Whole {
			continue
		}
		for s := range l.records {
			if s.topic == d.Topic().Name {
				delete(l.records, s)
			}
		}
		if err := l.read(ctx, shelf{d.Topic().Name, number}); err != nil {
			return r, err
		}
	}
	return r, nil
}

// seek brings what is followed to an offset. Another instance may not have read as far as the one before
// it: then it goes back, and begins anew. view is the number of a whole topic's view, or -1.
func (r *reader) seek(s shelf, view int, next int64) {
	if next < r.next[s] {
		r.folded[s] = 0
		delete(r.tables, s)
		if view >= 0 {
			r.views[view] = r.def.Whole[view].Zero()
		}
	}
	r.next[s] = next
	for ; r.folded[s] < len(r.records[s]); r.folded[s]++ {
		rec := r.records[s][r.folded[s]]
		switch {
		case rec.Offset >= next:
			return
		case view < 0:
			r.write(s, rec)
		default:
			if v, err := fold(r.def.Whole[view], r.views[view], rec); err == nil { // else it was left out then, too
				r.views[view] = v
			}
		}
	}
}

func (r *reader) write(s shelf, rec *kgo.Record) {
	if r.tables[s] == nil {
		r.tables[s] = map[string][]byte{}
	}
	if rec.Value == nil {
		delete(r.tables[s], string(rec.Key))
		return
	}
	r.tables[s][string(rec.Key)] = rec.Value
}

// Row implements processors.Tables.
func (r *reader) Row(i int, key string) ([]byte, error) {
	d := r.def.Tables[i]
	s := shelf{d.Topic().Name, r.number}
	if d.Whole {
		s.partition = placement.Of(key, int32(len(r.ends[s.topic])))
	}
	return bytes.Clone(r.tables[s][key]), nil
}

func fold(d processors.WholeDef, view any, rec *kgo.Record) (next any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return d.Fold(view, string(rec.Key), rec.Value)
}
