package mirror

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkCatchUp reads a table of 400,000 rows of 200 bytes in three partitions into empty stores on the
// disk, from an embedded Kafka that shares the machine, as often as it is asked to.
func BenchmarkCatchUp(b *testing.B) {
	const rows = 400_000
	w := newWorld(b)
	var recs []*kgo.Record
	for i := range rows {
		value := make([]byte, 200)
		for k := range value {
			value[k] = byte(rand.N(64))
		}
		recs = append(recs, &kgo.Record{Key: fmt.Appendf(nil, "acme/user-%d", rand.N(rows)+i), Value: value})
		if len(recs) == 20_000 {
			w.put(list, recs...)
			recs = recs[:0]
		}
	}
	for b.Loop() {
		b.StopTimer()
		w.cfg.Dir = b.TempDir()
		b.StartTimer()
		if err := w.with(func(context.Context, *Mirror) error { b.StopTimer(); return nil }); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
