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

// Tables are the tables of other processors, as far as this worker has read them.
type Tables interface {
	// Hold keeps what the steps of a partition may read as it is until release, and returns the first
	// offset of each partition that is not in force: one of each joined table, then all of each
	// looked-up one. The offsets do not change any more.
	Hold(number int32) (next []int64, release func())
	// Row returns a copy of an encoded row of table i of Def.Tables; nil: none. Only between Hold and release.
	Row(number int32, i int, key string) ([]byte, error)
	// Parts is how many of Hold's offsets belong to each of Def.Tables.
	Parts() []int32
}

// others reads Tables for the steps of a partition.
type others struct{ p *Partition }

// Row implements processors.Tables. A store that cannot be read is no record's fault.
func (o others) Row(i int, key string) ([]byte, error) {
	b, err := o.p.Tables.Row(o.p.number, i, key)
	if err != nil {
		o.p.fatal = err
	}
	return b, err
}

// Shared is what all partitions of a processor have in common. Every field must be set, Tables apart.
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
	// Tables are those of other processors; nil where the Def has none.
	Tables Tables
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
	// Hits and Misses are rows that were, or were not, in the cache of decoded rows.
	Hits, Misses atomic.Int64
	// Recovered are rows read back from the table topic.
	Recovered atomic.Int64
	// Followed are rows that standbys read from the table topic.
	Followed atomic.Int64
	// Counted is what steps counted with processors.Count, as long as Def.Counts says; an aborted
	// transaction's count again.
	Counted []atomic.Int64
}
