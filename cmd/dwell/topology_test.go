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
  reads   totals
  keeps   dwell.watch-table (one row per user)
  writes  dwell.actions.v1
  rejects dwell.dead-letters.v1
`
	if got := outline(twoProcessors()[1:]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	has(t, outline(twoProcessors()), "  holds   prices (whole, in memory)\n", "\n\nwatch: ")
	if all := outline(builtinProcessors()); strings.Count(all, "group dwell.") != 2 {
		t.Errorf("built in: %s", all)
	}
}
