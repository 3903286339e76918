package stream

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Whole topics and tables of others show how far they are behind, in the status and in the metrics.
func TestWhatIsFollowedSaysHowFarItIsBehind(t *testing.T) {
	where := fake(t)
	w := newWorld(t, where)
	in := numbers(w.name("in"))
	rules := &processors.Whole[uint64, uint64]{
		Topic: topics.Of(topics.Spec{Name: w.name("rules"), Partitions: 1, Compact: true}, schemas.Codec[uint64](number{})),
		Fold:  func(v uint64, _ string, _ uint64, _ bool) uint64 { return v + 1 },
	}
	people, list := &processors.Table[tally]{Processor: w.id + "-people", Row: tallyCodec{}}, &processors.Table[tally]{Processor: w.id + "-list", Row: tallyCodec{}}
	w.ensure(in.Spec, rules.Topic.Spec, topics.Table(people.Processor, 1000), topics.Table(list.Processor, 1000))
	def := processors.Define(processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{}, Whole: []processors.AnyWhole{rules}, Joins: []processors.AnyTable{people}, Lookups: []processors.AnyTable{list},
		Inputs: []processors.Input[tally]{processors.On(in, func(*processors.Turn[tally], uint64) {})},
	})
	followed := []string{rules.Topic.Name, topics.Table(people.Processor, 0).Name, topics.Table(list.Processor, 0).Name}
	reg := prometheus.NewRegistry()
	cfg := w.config("a")
	cfg.Registerer = reg
	r := w.run(cfg, def)
	r.untilReady()
	expect := func(rules, people, list int64) {
		t.Helper()
		until(t, fmt.Sprintf("the status says %d, %d, %d", rules, people, list), func() bool {
			got := r.Status().Followed
			return len(got) == 3 && got[0].Topic == followed[0] && got[0].Lag == rules && got[0].Partitions == 1 &&
				got[1].Topic == followed[1] && got[1].Lag == people && got[1].Partitions == 4 &&
				got[2].Topic == followed[2] && got[2].Lag == list && got[2].Partitions == 4
		})
		until(t, "the metrics say so, too", func() bool { return scrape(t, reg)["dwell_followed_lag_records"] == float64(rules+people+list) })
	}
	expect(0, 0, 0)
	var faults []kfake.Fault
	for _, topic := range followed {
		faults = append(faults, kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.UnknownServerError, Count: -1})
	}
	fault := where.fake.Fault(faults...)
	until(t, "nothing can be followed", func() bool { return fault.Hits() >= 3 })
	for i := range 5 {
		w.send(numberRecord(followed[0], "r", 1))
		if i < 3 {
			w.send(numberRecord(followed[1], user(i), 1))
		}
	}
	w.send(numberRecord(followed[2], user(1), 1))
	expect(5, 3, 1)
	fault.Remove()
	expect(0, 0, 0)
	r.stop()
}
