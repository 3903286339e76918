package sinks

import (
	"strings"
	"testing"
	"time"
)

type rowsOf int

func (n rowsOf) Len() int          { return int(n) }
func (n rowsOf) ReceivedMS() int64 { return int64(n) }

func TestRangeIsSealedAtTheFirstLimit(t *testing.T) {
	at := time.UnixMilli(1_000_000)
	value := []byte(strings.Repeat("x", 100))
	for _, c := range []struct {
		name    string
		cfg     BatchConfig
		records int
		rows    int
		full    bool
		due     time.Duration
	}{
		{"rows", BatchConfig{Rows: 10, Bytes: 1 << 20, Age: time.Second}, 2, 5, true, 0},
		{"rows not yet", BatchConfig{Rows: 11, Bytes: 1 << 20, Age: time.Second}, 2, 5, false, 990 * time.Millisecond},
		{"bytes", BatchConfig{Rows: 100, Bytes: 200, Age: time.Second}, 2, 1, true, 0},
		{"bytes not yet", BatchConfig{Rows: 100, Bytes: 201, Age: time.Second}, 2, 1, false, 990 * time.Millisecond},
		{"age", BatchConfig{Rows: 100, Bytes: 1 << 20, Age: 10 * time.Millisecond}, 2, 1, false, 0},
	} {
		b := NewBuffer(c.cfg)
		if _, ok := b.Due(at); ok || !b.Empty() {
			t.Errorf("%s: an empty buffer is due", c.name)
		}
		for n := range c.records {
			b.Add(at, Record{Offset: int64(7 + 2*n), Value: value}, rowsOf(c.rows))
		}
		wait, ok := b.Due(at.Add(10 * time.Millisecond))
		if !ok || wait != c.due || b.Full() != c.full {
			t.Errorf("%s: due in %s, full %t, want %s, %t", c.name, wait, b.Full(), c.due, c.full)
		}
		r, rows := b.Seal()
		if (r != Range{7, int64(7 + 2*(c.records-1))}) || len(rows) != c.records || !b.Empty() {
			t.Errorf("%s: sealed %s with %d records", c.name, r, len(rows))
		}
	}
}

func TestPoisonBelongsToTheRangeButHasNoRows(t *testing.T) {
	b := NewBuffer(DefaultBatch())
	now := time.UnixMilli(0)
	b.Add(now, Record{Offset: 4}, nil)
	b.Add(now, Record{Offset: 5}, rowsOf(3))
	b.Add(now, Record{Offset: 6}, nil)
	r, rows := b.Seal()
	got := Batch{First: r.First, Last: r.Last, Rows: rows}
	if r != (Range{4, 6}) || got.Len() != 3 || got.SealedAt() != time.UnixMilli(3).UTC() {
		t.Errorf("sealed %s, %d rows, at %s", r, got.Len(), got.SealedAt())
	}
}

func TestTokenNamesPipelineTableTopicPartitionAndRange(t *testing.T) {
	b := Batch{Pipeline: "facts", Topic: "dwell.facts.v1", TopicID: [16]byte{0xab, 15: 1}, Partition: 3, First: 101, Last: 180}
	if got, want := b.Token("inbox"), "facts/inbox/ab000000000000000000000000000001/3/101-180"; got != want {
		t.Errorf("token = %s, want %s", got, want)
	}
	b.TopicID = [16]byte{}
	if got, want := b.Token("inbox"), "facts/inbox/dwell.facts.v1/3/101-180"; got != want {
		t.Errorf("token = %s, want %s", got, want)
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	err := Pipeline{Name: "No", Batch: BatchConfig{Rows: 0, Bytes: -1, Age: time.Hour}}.Validate()
	for _, want := range []string{"name", "topic", "sink", "rows", "bytes", "age"} {
		if err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
	for _, c := range []BatchConfig{DefaultBatch(), CriticalBatch()} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}
