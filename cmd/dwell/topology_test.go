package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// two processors that meet at a topic.
func twoProcessors() []*processors.Def {
	orders, totals := topics.Stream[int]("orders"), topics.Stream[int]("totals")
	prices := &processors.Whole[int, int]{Topic: topics.Of(topics.Spec{Name: "prices", Partitions: 1, Compact: true}, totals.Codec), Fold: func(v int, _ string, _ int, _ bool) int { return v }}
	step := func(*processors.Turn[int], int) {}
	return []*processors.Def{
		processors.Define(processors.Processor[int]{
			Name: `sum<"all">`, Inputs: []processors.Input[int]{processors.On(orders, step)}, Outputs: []*topics.Spec{totals.Spec},
			Whole: []processors.AnyWhole{prices}, Interval: 50 * time.Millisecond, Journal: true,
		}),
		processors.Define(processors.Processor[int]{
			Name: "watch", Inputs: []processors.Input[int]{processors.On(totals, step)}, Wake: func(*processors.Turn[int]) {}, MaxRowBytes: 2 << 20,
		}),
	}
}

func TestMermaidJoinsProcessorsAtTheirTopics(t *testing.T) {
	const want = `flowchart LR
  p0{{"sum#lt;#quot;all#quot;#gt;<br/>50ms"}}
  t0[/"orders"/]
  t1[("prices")]
  t2[("dwell.sum#lt;#quot;all#quot;#gt;-table")]
  t3[("dwell.sum#lt;#quot;all#quot;#gt;-journal")]
  t4[/"dwell.actions.v1"/]
  t5[/"totals"/]
  t6[/"dwell.dead-letters.v1"/]
  p1{{"watch<br/>20ms"}}
  t7[("dwell.watch-table")]
  t0 --> p0
  t1 -. whole .-> p0
  p0 <--> t2
  p0 --> t3
  p0 --> t4
  p0 --> t5
  p0 -. rejected .-> t6
  t5 --> p1
  p1 <--> t7
  p1 --> t4
  p1 -. rejected .-> t6
`
	if got := mermaid(twoProcessors()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOutlineNamesEveryTopicOfEachProcessor(t *testing.T) {
	const want = `watch: group dwell.watch, commits every 20ms at the latest, wakes rows at their deadlines
  reads    totals
  keeps    dwell.watch-table (one row per key)
  writes   dwell.actions.v1
  rejects  dwell.dead-letters.v1
`
	if got := outline(twoProcessors()[1:]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	has(t, outline(twoProcessors()), "  holds    prices (whole, in memory)\n", "\n\nwatch: ")
	if all := outline(builtinProcessors()); strings.Count(all, "group dwell.") != len(builtinProcessors()) {
		t.Errorf("built in: %s", all)
	}
}

func TestTopologyShowsJoinsLookupsLoopAndTTL(t *testing.T) {
	loop := topics.Loop[int]("stock")
	step := func(*processors.Turn[int], int) {}
	defs := []*processors.Def{processors.Define(processors.Processor[int]{
		Name: "stock", TTL: time.Hour, Inputs: []processors.Input[int]{processors.On(topics.Stream[int]("orders"), step), processors.On(loop, step)},
		Joins: []processors.AnyTable{&processors.Table[int]{Processor: "people"}}, Lookups: []processors.AnyTable{&processors.Table[int]{Processor: "prices"}},
	})}
	const want = `stock: group dwell.stock, commits every 20ms at the latest, forgets rows after 1h0m0s
  reads    orders
           dwell.stock-loop
  joins    dwell.people-table (one row per key)
  looks up dwell.prices-table (one row per key)
  keeps    dwell.stock-table (one row per key)
  writes   dwell.actions.v1
           dwell.stock-loop
  rejects  dwell.dead-letters.v1
`
	if got := outline(defs); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	const drawn = `flowchart LR
  p0{{"stock<br/>20ms"}}
  t0[/"orders"/]
  t1[/"dwell.stock-loop"/]
  t2[("dwell.people-table")]
  t3[("dwell.prices-table")]
  t4[("dwell.stock-table")]
  t5[/"dwell.actions.v1"/]
  t6[/"dwell.dead-letters.v1"/]
  t0 --> p0
  t1 --> p0
  t2 -. join .-> p0
  t3 -. look-up .-> p0
  p0 <--> t4
  p0 --> t5
  p0 --> t1
  p0 -. rejected .-> t6
`
	if got := mermaid(defs); got != drawn {
		t.Errorf("got\n%s\nwant\n%s", got, drawn)
	}
}
