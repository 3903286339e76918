package sinks

import (
	"errors"
	"fmt"
	"time"
)

// BatchConfig says when a range is sealed: at whichever limit is met first. A range holds whole
// records, so it passes a limit by at most one record.
type BatchConfig struct {
	// Rows of a range, 1 to 1,000,000; with more, a store would cut an insert in two.
	Rows int
	// Bytes of keys and values as they lie in Kafka, 1 to 256 MiB.
	Bytes int
	// Age of a range's first record since it was buffered, 1 ms to 1 min.
	Age time.Duration
}

// DefaultBatch is for bulk: 50,000 rows, 8 MiB, 1 s.
func DefaultBatch() BatchConfig {
	return BatchConfig{Rows: 50_000, Bytes: 8 << 20, Age: time.Second}
}

// CriticalBatch is for what must be seen soon and is little: 10,000 rows, 2 MiB, 100 ms.
func CriticalBatch() BatchConfig {
	return BatchConfig{Rows: 10_000, Bytes: 2 << 20, Age: 100 * time.Millisecond}
}

// Validate reports every fault.
func (c BatchConfig) Validate() error {
	var faults []error
	if c.Rows < 1 || c.Rows > 1_000_000 {
		faults = append(faults, fmt.Errorf("rows: %d is not within 1 to 1,000,000", c.Rows))
	}
	if c.Bytes < 1 || c.Bytes > 256<<20 {
		faults = append(faults, fmt.Errorf("bytes: %d is not within 1 to 256 MiB", c.Bytes))
	}
	if c.Age < time.Millisecond || c.Age > time.Minute {
		faults = append(faults, fmt.Errorf("age: %s is not within 1 ms to 1 min", c.Age))
	}
	return errors.Join(faults...)
}

// Buffer collects one partition's records until a range is due. It belongs to one goroutine.
type Buffer struct {
	cfg    BatchConfig
	span   Range
	held   int // records, poison included
	rows   []Rows
	nrows  int
	nbytes int
	since  time.Time
}

// NewBuffer is empty; cfg is valid.
func NewBuffer(cfg BatchConfig) *Buffer { return &Buffer{cfg: cfg} }

// Add takes the next record; rows is nil for poison, which still belongs to the range. Offsets rise.
func (b *Buffer) Add(now time.Time, r Record, rows Rows) {
	if b.held == 0 {
		b.span.First, b.since = r.Offset, now
	}
	b.span.Last = r.Offset
	b.held++
	b.nbytes += len(r.Key) + len(r.Value)
	if rows != nil {
		b.rows = append(b.rows, rows)
		b.nrows += rows.Len()
	}
}

// Empty says that no record is held.
func (b *Buffer) Empty() bool { return b.held == 0 }

// Full says that a limit of size is met, and Add must wait for Seal.
func (b *Buffer) Full() bool { return b.nrows >= b.cfg.Rows || b.nbytes >= b.cfg.Bytes }

// Due says how long until a range is to be sealed: zero or less for now. ok is false for an empty buffer.
func (b *Buffer) Due(now time.Time) (wait time.Duration, ok bool) {
	switch {
	case b.held == 0:
		return 0, false
	case b.Full():
		return 0, true
	}
	return b.cfg.Age - now.Sub(b.since), true
}

// Seal empties the buffer into a range and its rows. It must not be empty.
func (b *Buffer) Seal() (Range, []Rows) {
	span, rows := b.span, b.rows
	*b = Buffer{cfg: b.cfg}
	return span, rows
}
