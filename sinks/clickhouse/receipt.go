package clickhouse

import (
	"context"
	"fmt"

	"github.com/dwellhq/dwell/sinks"
)

// receipted is a sink whose table forgets tokens after its window. Behind each insert it writes a
// receipt into sink_ledger, so a replayed range that had landed is known whatever the window, and
// one that may have landed by half is refused once its token may be forgotten.
type receipted[R any] struct{ *sink[R] }

// receipt is one row of sink_ledger: a function of the batch alone.
type receipt struct {
	sinks.Batch
	table         string
	rows, blocks  int
	sealedMS      int64
	recordsInside int
}

var receiptColumns = []column[receipt]{
	text("pipeline", func(r receipt) string { return r.Pipeline }),
	text("table", func(r receipt) string { return r.table }),
	text("topic", func(r receipt) string { return r.Topic }),
	text("topic_id", func(r receipt) string { return r.Source() }),
	int32s("partition", func(r receipt) int32 { return r.Partition }),
	int64s("first_offset", func(r receipt) int64 { return r.First }),
	int64s("last_offset", func(r receipt) int64 { return r.Last }),
	count("records", func(r receipt) uint32 { return uint32(r.recordsInside) }),
	count("rows", func(r receipt) uint32 { return uint32(r.rows) }),
	count("blocks", func(r receipt) uint32 { return uint32(r.blocks) }),
	one("sealed_at", instantKind, func(r receipt) int64 { return r.sealedMS }),
}

// Write implements sinks.Sink.
func (s receipted[R]) Write(ctx context.Context, b sinks.Batch) error {
	if b.Replay {
		landed, err := s.mayReplay(ctx, b)
		if err != nil || landed {
			return err
		}
	}
	if err := s.sink.Write(ctx, b); err != nil {
		return err
	}
	r := receipt{
		Batch: b, table: s.name, rows: b.Len(), blocks: distinct(records[R](b), s.days),
		sealedMS: tellable(b.SealedAt().UnixMilli(), 0), recordsInside: len(b.Rows),
	}
	insert, kinds := statement("sink_ledger", receiptColumns)
	return send(ctx, s.Store, "sink_ledger", b.Token("sink_ledger"), insert, kinds, receiptColumns, []record[receipt]{{value: r, n: 1}})
}

// mayReplay: a receipt says that the range landed everywhere. Without one its token must still be
// within the window of every table: the blocks inserted since this partition's receipt before are
// counted, by the ledger's own block numbers; for a partition without one, since its newest row
// was received.
func (s receipted[R]) mayReplay(ctx context.Context, b sinks.Batch) (landed bool, err error) {
	window, err := s.smallestWindow(ctx)
	if err != nil {
		return false, err
	}
	var found, before uint64
	var since uint64
	err = s.conn.QueryRow(ctx, `SELECT
		countIf(first_offset = $4 AND last_offset = $5),
		countIf(last_offset < $4),
		maxIf(_block_number, last_offset < $4)
		FROM sink_ledger WHERE pipeline = $1 AND topic_id = $2 AND partition = $3`,
		b.Pipeline, b.Source(), b.Partition, b.First, b.Last).Scan(&found, &before, &since)
	if err != nil {
		return false, fault("look for the receipt of "+b.Token(s.name), err)
	}
	if found > 0 {
		return true, nil
	}
	var blocks uint64
	query, args := "SELECT sum(blocks) FROM sink_ledger WHERE _block_number > $1", []any{since}
	if before == 0 {
		query, args = "SELECT sum(blocks) FROM sink_ledger WHERE sealed_at >= fromUnixTimestamp64Milli($1)", []any{b.SealedAt().UnixMilli()}
	}
	if err := s.conn.QueryRow(ctx, query, args...).Scan(&blocks); err != nil {
		return false, fault("count the inserts since "+b.Token(s.name), err)
	}
	if limit := uint64(window - window/10); blocks >= limit {
		return false, fmt.Errorf("%w: range %d-%d of %s/%d may have been inserted, and %d blocks were inserted since (the tables remember %d): whether it landed cannot be told any more; "+
			"replay its hours into a staging table and replace them: `dwell sink restate`, then set the offset of the group to %d",
			sinks.ErrWindow, b.First, b.Last, b.Topic, b.Partition, blocks, window, b.Last+1)
	}
	return false, nil
}

// Landed implements sinks.Ledger.
func (s receipted[R]) Landed(ctx context.Context, b sinks.Batch) (int64, error) {
	var n uint64
	var last int64
	err := s.conn.QueryRow(ctx, "SELECT count(), max(last_offset) FROM sink_ledger WHERE pipeline = $1 AND topic_id = $2 AND partition = $3",
		b.Pipeline, b.Source(), b.Partition).Scan(&n, &last)
	if err != nil {
		return 0, fault("read sink_ledger", err)
	}
	if n == 0 {
		return 0, nil
	}
	return last + 1, nil
}
