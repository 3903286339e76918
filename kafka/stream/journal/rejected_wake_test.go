package journal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
)

// failing declares a processor whose wakes fail while fault is 1, and grow their rows too far while it is 2.
func (w *world) failing(fault uint64) *processors.Def {
	w.drift.Store(fault)
	return processors.Define(processors.Processor[memory]{
		Name: "soup", Journal: true, MaxRowBytes: 400,
		Inputs: []processors.Input[memory]{processors.On(w.left, func(t *processors.Turn[memory], _ order) {
			t.State.N++
			t.WakeAt(t.Now.Add(time.Second))
		})},
		Wake: func(t *processors.Turn[memory]) {
			t.State.Woken++
			switch w.drift.Load() {
			case 1:
				panic("as asked")
			case 2:
				t.State.Load = make([]byte, 500)
			}
		},
	})
}

// A wake that was rejected, by time or with a record, must be today; one that was not must not.
func TestWakeThatFailsNowOrThenIsADifference(t *testing.T) {
	for _, c := range []struct {
		then, now uint64
		what      string
	}{
		{1, 1, ""},
		{2, 2, ""},
		{1, 2, ""},
		{0, 0, ""},
		{1, 0, "rejected then, and is taken now"},
		{2, 0, "rejected then, and is taken now"},
		{0, 1, "woken at"},
	} {
		t.Run(fmt.Sprintf("%d then, %d now", c.then, c.now), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 31)
			def := w.failing(c.then)
			stop := w.run(def, "i0", 5*time.Millisecond)
			// The second wakes what the first set, and the clock the rest.
			var recs []*kgo.Record
			for _, ms := range []int64{w.ms, w.ms + 5000} {
				recs = append(recs, &kgo.Record{Topic: w.left.Name, Key: []byte("acme/u1"), Value: []byte("{}"), Timestamp: time.UnixMilli(ms)})
			}
			w.produce(recs...)
			w.untilCommitted(2)
			w.until("both deadlines are over", func() bool {
				r := w.replay(def, journal.All)
				return r.Differences == 0 && r.Records == 2 && r.Wakes == 1
			})
			stop()
			w.drift.Store(c.now)
			r := w.replay(def, journal.All)
			if rejected := int64(2 * min(c.then, 1)); c.what == "" && (r.Differences != 0 || r.RejectedWakes != rejected || r.Outputs != rejected) {
				t.Errorf("%+v, first %v", r, r.First)
			}
			if c.what != "" && (r.Differences != 1 || !strings.Contains(r.First.What, c.what) || r.First.Key != "acme/u1") {
				t.Errorf("%+v, first %v", r, r.First)
			}
		})
	}
}
