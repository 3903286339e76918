package journal

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/schemas"
)

// compareRows compares the table's newest values with the replay's rows.
func (p *partition) compareRows(ctx context.Context) error {
	t, err := newTape(p.cfg, p.table, p.number, p.ends[p.table][p.number])
	if err != nil {
		return err
	}
	defer t.close()
	newest := map[string]*kgo.Record{}
	err = t.each(ctx, func(r *kgo.Record) error {
		if p.first == nil || r.Offset < p.first.TableNext {
			return fmt.Errorf("%w: row %q at %s was written before there was a journal", ErrGone, r.Key, where(r))
		}
		newest[string(r.Key)] = r
		return nil
	})
	if err != nil {
		return err
	}
	for key, rec := range newest {
		p.compareRow(key, rec.Value, where(rec))
	}
	for _, key := range p.missing(newest) {
		p.compareRow(key, nil, schemas.Coordinates{Topic: Topic("dwell." + p.def.Name), Partition: p.number, Offset: p.wrote[key]})
	}
	return nil
}

// missing are the rows that the table should have, in order.
func (p *partition) missing(newest map[string]*kgo.Record) []string {
	var keys []string
	for key := range p.rows {
		if newest[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// compareRow compares one row; nil is none. While the group runs, the replay may be ahead of the table.
func (p *partition) compareRow(key string, value []byte, at schemas.Coordinates) {
	p.report.Rows++
	may := p.since[key]
	if len(may) == 0 {
		may = [][]byte{p.rows[key]}
	}
	is := func(value []byte) bool {
		return slices.ContainsFunc(may, func(b []byte) bool { return bytes.Equal(b, value) && (b == nil) == (value == nil) })
	}
	if is(value) || value != nil && is(p.anew(value)) {
		return
	}
	want := p.rows[key]
	what := fmt.Sprintf("the table has %s, the replay %s", show(value), show(want))
	if value != nil && want != nil {
		n := 0
		for n < min(len(value), len(want)) && value[n] == want[n] {
			n++
		}
		what += fmt.Sprintf("; they part at byte %d: % x and % x", n, value[n:min(len(value), n+16)], want[n:min(len(want), n+16)])
	}
	p.report.differ(&Difference{At: at, Key: key, What: fmt.Sprintf("%s (journal entry %s/%d/%d wrote it last)", what, Topic("dwell."+p.def.Name), p.number, p.wrote[key])})
}

// anew is a stored row as this version stores it: an older one may have stored the same row in other
// bytes. It is the value itself if it is no row.
func (p *partition) anew(value []byte) []byte {
	row, err := p.def.DecodeRow(value)
	if err != nil {
		return value
	}
	b, err := p.encode(row)
	if err != nil {
		return value
	}
	return b
}

func show(row []byte) string {
	if row == nil {
		return "no row"
	}
	return fmt.Sprintf("%d bytes", len(row))
}
