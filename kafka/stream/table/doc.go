// Package table is one partition of a processor at work: records and wakes go in, changed rows,
// emitted records, packed blocks and dead letters come out, one transaction at a time.
//
// A Partition belongs to one goroutine at a time: goka's while a batch is stepped, the driver's
// between batches. It decides nothing about Kafka; the driver tells it whether the transaction was
// committed or aborted.
package table

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/dwellhq/dwell/processors"
)

// Shared is what all partitions of a processor have in common. Every field must be set.
type Shared struct {
	Def *processors.Def
	// Topic is the table's topic.
	Topic string
	// CacheBytes bounds the rows that one partition keeps decoded, counted by their encoded size.
	CacheBytes int64
	// MaxBytes is the most that key and value of a record in a topic may have.
	MaxBytes func(topic string) int
	// Views are the whole topics in force, and the first offset of each that is not; asked once per batch.
	Views func() (views []any, next []int64)
	// JournalTopic and Version are for a Def with a journal: where it lies, and what binary this is.
	JournalTopic, Version string
	// Urgent says that something was emitted that somebody waits for. It must not block.
	Urgent func()
	// Now is the wall clock; it keeps forged record times in check, and nothing else.
	Now   func() time.Time
	Count *Counters
	Log   *slog.Logger
}

// Counters count since the start of the processor.
type Counters struct {
	// Records were stepped or went to the dead letters; an aborted transaction's count again.
	Records atomic.Int64
	// Rows and DeadLetters were committed.
	Rows, DeadLetters atomic.Int64
	// Wakes were rows woken by time, besides those that their own next record woke.
	Wakes atomic.Int64
	// Ahead are records whose time was more than a minute ahead of the clock.
	Ahead atomic.Int64
	// Recovered are rows read back from the table topic.
	Recovered atomic.Int64
}
