// Package store keeps the rows of one table partition on this machine. It is a cold cache of the
// table topic, never a truth: it holds what was committed up to an offset of that topic, rows and
// offset in one atomic write, and may be thrown away at any time.
package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Row is a row as it is stored; a nil Value is a deleted row.
type Row struct{ Key, Value []byte }

// Store holds the rows of one partition. Close may be called by another goroutine than the one that
// reads and writes, but not while it does.
type Store struct {
	rows   rows
	topic  [16]byte
	offset int64
	stale  bool    // nobody wrote for longer than the topic remembers what was deleted
	behind *behind // nil: nothing waits
	bulk   *bulk   // nil: nothing waits
	ingest func(rows []Row, meta []byte) error
	clear  func(meta []byte) error
	close  func() error
}

// rows is what the map and pebble have in common.
type rows interface {
	get(key []byte) ([]byte, error)
	apply(rows []Row, meta []byte) error
	each(fn func(key, value []byte) error) error
}

// none is the offset of a store that holds nothing.
const none = -1

// Offset is the offset, in the table topic, of the last record that the rows hold; -1 means that
// the store is empty.
func (s *Store) Offset() int64 { return s.offset }

// Topic is the id of the table topic that the rows came from; zeros mean unknown.
func (s *Store) Topic() [16]byte { return s.topic }

// Fits says whether the rows can be of the topic with this id, of which the records from start to end,
// exclusively, are left. What the topic lost before the store saw it may have deleted rows that the
// store still has; so may a tombstone that compaction took while nobody wrote to the store for long.
func (s *Store) Fits(id [16]byte, start, end int64) bool {
	return !s.stale && s.topic == id && s.offset < end && (s.offset < 0 || s.offset+1 >= start)
}

// Get returns a copy of a row's value; nil means that there is no such row.
func (s *Store) Get(key []byte) ([]byte, error) {
	if err := s.Settle(); err != nil {
		return nil, err
	}
	if s.behind != nil {
		if r := s.behind.rows[string(key)]; r != nil {
			return bytes.Clone(r.Value), nil
		}
	}
	v, err := s.rows.get(key)
	if err != nil {
		return nil, fmt.Errorf("read row %q from the local store: %w", key, err)
	}
	return v, nil
}

// Apply writes rows, in order, and the offset up to which they bring the store: all or nothing, also
// when the process is killed. It does not wait for the disk. An offset lower than the present one
// leaves that as it is.
func (s *Store) Apply(rows []Row, offset int64) error {
	if err := s.Settle(); err != nil {
		return err
	}
	offset = max(offset, s.offset)
	if s.behind != nil {
		rows = append(s.behind.take(), rows...)
	}
	if err := s.rows.apply(rows, encodeMeta(s.topic, offset)); err != nil {
		return writeError(rows, err)
	}
	s.offset = offset
	return nil
}

func writeError(rows []Row, err error) error {
	return fmt.Errorf("write %d rows to the local store: %w", len(rows), err)
}

// Each calls fn for every row, in no special order, and stops at its first error. Key and value are
// valid until fn returns.
func (s *Store) Each(fn func(key, value []byte) error) error {
	if err := errors.Join(s.Settle(), s.flush()); err != nil {
		return err
	}
	if err := s.rows.each(fn); err != nil {
		return fmt.Errorf("scan the local store: %w", err)
	}
	return nil
}

// Reset empties the store; from now on it holds rows of the topic with this id.
func (s *Store) Reset(topic [16]byte) error {
	if s.behind != nil {
		s.behind.take()
	}
	if s.bulk != nil {
		s.bulk.drop()
	}
	if err := s.clear(encodeMeta(topic, none)); err != nil {
		return fmt.Errorf("empty the local store: %w", err)
	}
	s.topic, s.offset, s.stale = topic, none, false
	return nil
}

// Close saves what was written and frees the store.
func (s *Store) Close() error {
	if err := errors.Join(s.Settle(), s.flush(), s.close()); err != nil {
		return fmt.Errorf("close the local store: %w", err)
	}
	return nil
}

// remembered is how old a store may be to be carried on. Kafka keeps the tombstone of a deleted row for
// delete.retention.ms, 24 h by default; a store that read nothing for as long would keep the row, and
// its deadline, for ever.
const remembered = 12 * time.Hour

// Meta is the offset, the topic, and when it was written, Unix ms.
func encodeMeta(topic [16]byte, offset int64) []byte {
	b := append(binary.BigEndian.AppendUint64(make([]byte, 0, metaBytes), uint64(offset)), topic[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMilli()))
}

const metaBytes = 32

func decodeMeta(b []byte) (topic [16]byte, offset int64, written time.Time, ok bool) {
	if len(b) != metaBytes {
		return topic, none, written, false
	}
	copy(topic[:], b[8:])
	return topic, int64(binary.BigEndian.Uint64(b)), time.UnixMilli(int64(binary.BigEndian.Uint64(b[24:]))), true
}
