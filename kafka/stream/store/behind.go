package store

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// behindTime is how long rows may wait for the disk; a kill costs reading as much again.
	behindTime = time.Second
	// behindBytes bounds what waits.
	behindBytes = 4 << 20
)

// behind holds rows that are to be written later, the newest of each key. A key that changes many times
// a second is written once.
type behind struct {
	rows  map[string]*Row
	bytes int
	since time.Time // when the first of them came
	waits bool      // rows, or an offset alone
}

// Later writes rows, in order, as Apply does, but lets them wait for each other in memory. Get, Each and
// Offset know them at once; a kill of the process loses them, together, as if they had never come.
func (s *Store) Later(rows []Row, offset int64) error {
	if s.behind == nil {
		return s.Apply(rows, offset)
	}
	if err := s.Settle(); err != nil { // those are older
		return err
	}
	s.behind.add(rows)
	s.offset = max(offset, s.offset)
	if s.behind.bytes < behindBytes && time.Since(s.behind.since) < behindTime {
		return nil
	}
	return s.flush()
}

// flush writes what waits.
func (s *Store) flush() error {
	if s.behind == nil || !s.behind.waits {
		return nil
	}
	return s.Apply(nil, s.offset)
}

func (b *behind) add(rows []Row) {
	if b.rows == nil {
		b.rows = map[string]*Row{}
	}
	if !b.waits {
		b.waits = true
		b.since = time.Now().Add(-rand.N(behindTime / 2)) // or all partitions would write at one time
	}
	for _, r := range rows {
		kept := b.rows[string(r.Key)]
		if kept == nil {
			key := string(r.Key)
			kept = &Row{Key: []byte(key)}
			b.rows[key] = kept
			b.bytes += 2 * len(key)
		}
		b.bytes += len(r.Value) - len(kept.Value)
		if r.Value == nil {
			kept.Value = nil
		} else {
			kept.Value = append(kept.Value[:0:cap(kept.Value)], r.Value...)
			if kept.Value == nil {
				kept.Value = []byte{}
			}
		}
	}
}

// take returns what waits and forgets it.
func (b *behind) take() []Row {
	all := make([]Row, 0, len(b.rows))
	for _, r := range b.rows {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(x, y Row) int { return bytes.Compare(x.Key, y.Key) }) // as pebble likes it best
	clear(b.rows)
	b.bytes, b.waits = 0, false
	return all
}
