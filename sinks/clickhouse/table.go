package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/dwellhq/dwell/sinks"
)

// table is how records of type R become rows of one ClickHouse table.
type table[R any] struct {
	name    string
	columns []column[R]
	// decode is pure.
	decode func(r sinks.Record) (R, error)
	// rows of one R; nil means one.
	rows func(R) int
	// received is when the newest row of an R was received, Unix milliseconds.
	received func(R) int64
	// days lists the days (any unit of equal parts) in which rows of an R lie: each is a block of
	// its own in the deduplication window. Nil: the table's rows replace each other by key, so it
	// needs no window and no receipt.
	days func(R) []int64
}

// column is one column of a table, filled a batch at a time.
type column[R any] struct {
	name, kind string
	// values returns a typed slice with one element a row.
	values func([]record[R]) any
}

// record is what a Kafka record became.
type record[R any] struct {
	value    R
	at       time.Time // the record's timestamp in the log
	n        int
	received int64
}

// Len implements sinks.Rows.
func (r record[R]) Len() int { return r.n }

// ReceivedMS implements sinks.Rows.
func (r record[R]) ReceivedMS() int64 { return r.received }

// sink implements sinks.Sink for one table.
type sink[R any] struct {
	*Store
	table[R]
	insert string
	kinds  []clickhouse.ColumnNameAndType
}

func newSink[R any](s *Store, t table[R]) sinks.Sink {
	k := &sink[R]{Store: s, table: t}
	k.insert, k.kinds = statement(t.name, t.columns)
	if t.days != nil {
		return receipted[R]{k}
	}
	return k
}

// statement is the insert with its columns. Kinds are what is sent; the server casts, so that
// strings need no dictionary here to become LowCardinality there.
func statement[R any](name string, columns []column[R]) (string, []clickhouse.ColumnNameAndType) {
	var names []string
	var kinds []clickhouse.ColumnNameAndType
	for _, c := range columns {
		names = append(names, "`"+c.name+"`")
		kinds = append(kinds, clickhouse.ColumnNameAndType{Name: c.name, Type: c.kind})
	}
	return fmt.Sprintf("INSERT INTO %s (%s)", name, strings.Join(names, ", ")), kinds
}

// Decode implements sinks.Sink.
func (s *sink[R]) Decode(r sinks.Record) (sinks.Rows, error) {
	v, err := s.decode(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sinks.ErrPoison, err)
	}
	d := record[R]{value: v, at: r.Time, n: 1, received: r.Time.UnixMilli()}
	if s.rows != nil {
		d.n = s.rows(v)
	}
	if s.received != nil {
		d.received = max(d.received, s.received(v))
	}
	return d, nil
}

// Write implements sinks.Sink.
func (s *sink[R]) Write(ctx context.Context, b sinks.Batch) error {
	return send(ctx, s.Store, s.name, b.Token(s.name), s.insert, s.kinds, s.columns, records[R](b))
}

func records[R any](b sinks.Batch) []record[R] {
	rs := make([]record[R], len(b.Rows))
	for i, r := range b.Rows {
		rs[i] = r.(record[R]) // of this sink's own Decode
	}
	return rs
}

// send is one insert of one block.
func send[R any](ctx context.Context, s *Store, table, token, insert string, kinds []clickhouse.ColumnNameAndType, columns []column[R], rs []record[R]) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(exactly(token)), clickhouse.WithColumnNamesAndTypes(kinds))
	b, err := s.conn.PrepareBatch(ctx, insert)
	if err != nil {
		return fault("prepare an insert into "+table, err)
	}
	defer func() { _ = b.Close() }() // frees the connection if it was not sent
	for i, c := range columns {
		if err := b.Column(i).Append(c.values(rs)); err != nil {
			return fmt.Errorf("fill column %s of %s: %w", c.name, table, err)
		}
	}
	n := b.Rows()
	if err := b.Send(); err != nil {
		return fault(fmt.Sprintf("insert %d rows into %s", n, table), err)
	}
	return nil
}

// exactly are the settings that exactly-once rests on, whatever the server's defaults are.
func exactly(token string) clickhouse.Settings {
	return clickhouse.Settings{
		"insert_deduplicate":                                 1,
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"async_insert":                                       0,
		"materialized_views_ignore_errors":                   0,
		"input_format_parallel_parsing":                      0,       // one block stays one block, in order
		"max_insert_block_size":                              1 << 21, // above the most rows of a range
		"max_partitions_per_insert_block":                    0,       // a range may reach over many days: slow, not refused
		"input_format_native_allow_types_conversion":         1,
	}
}

// one makes a column with one value a record.
func one[R, V any](name, kind string, get func(R) V) column[R] {
	return column[R]{name, kind, func(rs []record[R]) any {
		vs := make([]V, len(rs))
		for i, r := range rs {
			vs[i] = get(r.value)
		}
		return vs
	}}
}

func text[R any](name string, get func(R) string) column[R]   { return one(name, "String", get) }
func blob[R any](name string, get func(R) []byte) column[R]   { return one(name, "String", get) }
func flag[R any](name string, get func(R) bool) column[R]     { return one(name, "Bool", get) }
func int32s[R any](name string, get func(R) int32) column[R]  { return one(name, "Int32", get) }
func int64s[R any](name string, get func(R) int64) column[R]  { return one(name, "Int64", get) }
func count[R any](name string, get func(R) uint32) column[R]  { return one(name, "UInt32", get) }
func list[R any](name string, get func(R) []string) column[R] { return one(name, "Array(String)", get) }

const instantKind = "DateTime64(3, 'UTC')"

// instant is a point in time that a record holds as Unix milliseconds.
func instant[R any](name string, get func(R) int64) column[R] {
	return column[R]{name, instantKind, func(rs []record[R]) any {
		vs := make([]int64, len(rs))
		for i, r := range rs {
			vs[i] = tellable(get(r.value), r.at.UnixMilli())
		}
		return vs
	}}
}

// logged is when the record was written to Kafka.
func logged[R any]() column[R] {
	return column[R]{"logged_at", instantKind, func(rs []record[R]) any {
		vs := make([]int64, len(rs))
		for i, r := range rs {
			vs[i] = tellable(r.at.UnixMilli(), 0)
		}
		return vs
	}}
}

// lastTellable is the end of what DateTime holds, 2106-02-07, Unix milliseconds.
const lastTellable = 1<<32*1000 - 1

// tellable is ms, or instead of a time that ClickHouse's DateTime cannot hold, the other: a
// client's broken clock must not make a view wrap around.
func tellable(ms, instead int64) int64 {
	if ms > 0 && ms <= lastTellable {
		return ms
	}
	return max(0, min(instead, lastTellable))
}

// distinct is how many different days the records lie in.
func distinct[R any](rs []record[R], days func(R) []int64) int {
	var all []int64
	for _, r := range rs {
		all = append(all, days(r.value)...)
		slices.Sort(all)
		all = slices.Compact(all)
	}
	return len(all)
}
