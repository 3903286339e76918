package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

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
