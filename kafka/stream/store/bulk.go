package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

const (
	// bulkBytes is how much waits to become one table; a kill costs reading as much again.
	bulkBytes = 8 << 20
	// fewest is the part of that which is still worth a table: one takes several syncs of the disk.
	fewest = 8
	// rowBytes is what a row takes in memory besides its key and value.
	rowBytes = 48
)

// bulk holds rows in the order they came until they are worth a table.
type bulk struct {
	rows  []Row
	bytes int
	most  int  // bytes that make a table
	waits bool // rows, or an offset alone
}

// Bulk writes rows, in order, as Apply does, but gathers them in memory until they are worth a sorted table
// of their own: it is for reading a topic back. The rows' bytes must stay untouched until Settle. Every
// other call finds what was written; a kill of the process loses the rows since the last table, and their
// offset, together. After an error the rows still wait.
func (s *Store) Bulk(rows []Row, offset int64) error {
	if s.bulk == nil {
		return s.Apply(rows, offset)
	}
	if err := s.flush(); err != nil { // those are older
		return err
	}
	s.bulk.add(rows)
	s.offset = max(offset, s.offset)
	if s.bulk.bytes < s.bulk.most {
		return nil
	}
	return s.writeBulk()
}

// Settle writes what Bulk has gathered, and frees its memory.
func (s *Store) Settle() error {
	if s.bulk == nil || !s.bulk.waits {
		return nil
	}
	if err := s.writeBulk(); err != nil {
		return err
	}
	s.bulk.rows = nil
	return nil
}

// writeBulk writes what waits in one step, with the offset: all or nothing.
func (s *Store) writeBulk() error {
	rows, write := s.bulk.sorted(), s.rows.apply
	if s.bulk.bytes >= s.bulk.most/fewest {
		write = s.ingest
	}
	if err := write(rows, encodeMeta(s.topic, s.offset)); err != nil {
		return writeError(rows, err)
	}
	s.bulk.drop()
	return nil
}

func (b *bulk) add(rows []Row) {
	b.rows, b.waits = append(b.rows, rows...), true
	for _, r := range rows {
		b.bytes += len(r.Key) + len(r.Value) + rowBytes
	}
}

// drop forgets what waits, but keeps the memory.
func (b *bulk) drop() {
	clear(b.rows)
	b.rows, b.bytes, b.waits = b.rows[:0], 0, false
}

// sorted returns the last row of each key, by key. Keys have much in common at their beginning: most
// comparisons end at the eight bytes after that.
func (b *bulk) sorted() []Row {
	type place struct {
		head uint64
		at   int
	}
	skip := common(b.rows)
	order := make([]place, len(b.rows))
	for i, r := range b.rows {
		order[i] = place{head(r.Key[skip:]), i}
	}
	slices.SortFunc(order, func(x, y place) int {
		if x.head != y.head {
			return cmp.Compare(x.head, y.head)
		}
		return cmp.Or(bytes.Compare(b.rows[x.at].Key, b.rows[y.at].Key), cmp.Compare(x.at, y.at))
	})
	out := make([]Row, 0, len(order))
	for i, p := range order {
		r := b.rows[p.at]
		if i+1 < len(order) && order[i+1].head == p.head && bytes.Equal(b.rows[order[i+1].at].Key, r.Key) {
			continue // a later one follows
		}
		out = append(out, r)
	}
	return out
}

// common is how many bytes all keys have in common at their beginning.
func common(rows []Row) int {
	if len(rows) == 0 {
		return 0
	}
	first := rows[0].Key
	n := len(first)
	for _, r := range rows {
		n = min(n, len(r.Key))
		for i := range n {
			if r.Key[i] != first[i] {
				n = i
				break
			}
		}
	}
	return n
}

// head orders keys as far as their first eight bytes do; equal heads say nothing.
func head(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}
