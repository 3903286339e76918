package sinktest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/sinks/sinktest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Harness {
		m := &sinktest.Memory{}
		return sinktest.Harness{
			Pipeline: "memory", Topic: "t", Sink: m,
			Record: func(n int) sinks.Record {
				return sinks.Record{Offset: int64(n), Value: []byte(fmt.Sprint("v", n)), Time: time.UnixMilli(int64(1 + n))}
			},
			Poison: sinks.Record{Value: []byte("poison")},
			Counts: func(testing.TB) map[string]int {
				n := 0
				for _, times := range m.Records() {
					n += times
				}
				return map[string]int{"memory": n}
			},
			Break: func(testing.TB) {
				m.Fail(func(int, sinks.Batch) (error, error) { return nil, sinks.ErrRetry })
			},
			Mend: func(testing.TB) { m.Fail(nil) },
		}
	})
}
