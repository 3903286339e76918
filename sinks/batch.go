package sinks

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Record is one Kafka record of a partition.
type Record struct {
	Offset     int64
	Key, Value []byte
	// Time is the record's timestamp in the log.
	Time time.Time
}

// Batch is a sealed range of one partition, decoded. It is the same on every attempt but for Replay.
type Batch struct {
	Pipeline string
	Topic    string
	// TopicID tells a topic from one of the same name that was deleted; zero where the broker knows none.
	TopicID   [16]byte
	Partition int32
	// First and Last are the offsets of the range's first and last record, poison included.
	First, Last int64
	// Rows holds what the records became, in order; poison is left out.
	Rows []Rows
	// Replay: an earlier owner may have inserted this range.
	Replay bool
}

// Token names the batch's insert into a table: the same on every attempt, by whichever process.
func (b Batch) Token(table string) string {
	return fmt.Sprintf("%s/%s/%s/%d/%d-%d", b.Pipeline, table, b.Source(), b.Partition, b.First, b.Last)
}

// Source is the topic's id as hex, or its name where the broker knows no ids.
func (b Batch) Source() string {
	if b.TopicID == [16]byte{} {
		return b.Topic
	}
	return hex.EncodeToString(b.TopicID[:])
}

// Len is how many rows the batch has.
func (b Batch) Len() int {
	n := 0
	for _, r := range b.Rows {
		n += r.Len()
	}
	return n
}

// SealedAt is when the newest row was received: a function of the range, never of the clock. It is
// the zero time for an empty batch.
func (b Batch) SealedAt() time.Time {
	var ms int64
	for _, r := range b.Rows {
		ms = max(ms, r.ReceivedMS())
	}
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
