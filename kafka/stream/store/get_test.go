package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Of files that overlap, only the lowest is searched for a row that is in none.
func TestFilesSayWhatIsNotInThem(t *testing.T) {
	s, err := Open(t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	const rows = 2_000 // of a kilobyte: enough for a file of their own
	for again := range int64(2) {
		var all []Row
		for n := range rows {
			all = append(all, Row{Key: fmt.Appendf(nil, "user-%d", 2*n), Value: make([]byte, 1_000)})
		}
		if err := s.Bulk(all, rows*(again+1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 * rows {
		v, err := s.Get(fmt.Appendf(nil, "user-%d", n))
		if err != nil || (v != nil) != (n%2 == 0) {
			t.Fatalf("row %d: %d bytes, %v", n, len(v), err)
		}
	}
	if said := s.rows.(*disk).db.Metrics().Filter.Hits; said < rows*9/10 {
		t.Errorf("of %d rows that are not there, a filter said so of %d", rows, said)
	}
}

// BenchmarkGet looks rows up that are in no cache, and some that were never there, in a store of rows that
// were written in an order of their own again and again.
func BenchmarkGet(b *testing.B) {
	const rows = 400_000
	s, err := Open(b.TempDir(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	random := rand.New(rand.NewPCG(1, 2))
	key := func(n int) []byte { return fmt.Appendf(nil, "tenant/user-%d", n) }
	value := make([]byte, 200)
	for n := range 2 * rows {
		i := n
		if n >= rows {
			i = random.IntN(rows)
		}
		for j := range value {
			value[j] = byte(random.Uint32()) & 0x7f
		}
		if err := s.Bulk([]Row{{Key: key(i), Value: append([]byte(nil), value...)}}, int64(n)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Settle(); err != nil {
		b.Fatal(err)
	}
	for name, from := range map[string]int{"there": 0, "absent": rows} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v, err := s.Get(key(from + random.IntN(rows)))
				if err != nil || (v == nil) != (from > 0) {
					b.Fatal(v, err)
				}
			}
		})
	}
}
