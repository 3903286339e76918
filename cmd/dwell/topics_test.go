package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/topics"
	"github.com/dwellhq/dwell/worker"
)

func TestTopicsArePlannedAppliedAndThenAsDeclared(t *testing.T) {
	y := newYard(t) // the built-in topics are there, the tables are not
	specs := worker.Topics(append(builtinProcessors(), twoProcessors()[1])...)
	act := func(apply bool) string {
		return y.printed(func(w io.Writer) error { return planTopics(y.ctx, w, y.cfg, specs, apply) })
	}
	for _, apply := range []bool{false, true} { // the first changed nothing
		out := act(apply)
		has(t, out, "TOPIC", "dwell.engage-table", "dwell.engage-journal", "dwell.watch-table", "totals", "create", "2 partitions", "cleanup.policy=compact, max.message.bytes=2162688")
		if lines := strings.Count(out, "create"); lines != len(specs)-len(topics.Builtin()) || strings.HasSuffix(out, "applied\n") != apply {
			t.Errorf("apply %v, %d created:\n%s", apply, lines, out)
		}
	}
	if out := act(true); out != fmt.Sprintf("all %d topics are as declared\n", len(specs)) {
		t.Errorf("again: %s", out)
	}
}

// What a journal names as in force must still be in the log when it is read.
func TestWholeTopicsKeepWhatJournalsName(t *testing.T) {
	for _, d := range builtinProcessors() {
		if !d.Journal {
			continue
		}
		for _, v := range d.Whole {
			if lag, keep := v.Topic().CompactionLag, journal.Retention(d.Inputs); lag < keep || keep <= 0 {
				t.Errorf("%s keeps its journal for %v, and %s keeps replaced versions for %v", d.Name, keep, v.Topic().Name, lag)
			}
		}
	}
}

func TestRefusedTopicsFailPlanAndApply(t *testing.T) {
	y := newYard(t)
	y.cfg.Partitions = 3
	for _, apply := range []bool{false, true} {
		var b strings.Builder
		err := planTopics(y.ctx, &b, y.cfg, worker.Topics(builtinProcessors()...), apply)
		if !errors.Is(err, errRefused) {
			t.Errorf("apply %v: %v", apply, err)
		}
		has(t, b.String(), "refuse", "To do: set --partitions 2, or copy it into a new topic with 3", "dwell.engage-table")
	}
	y.cfg.Partitions = 2
	if out := y.printed(func(w io.Writer) error { return planTopics(y.ctx, w, y.cfg, topics.Builtin(), false) }); out != fmt.Sprintf("all %d topics are as declared\n", len(topics.Builtin())) {
		t.Errorf("after the refusal: %s", out)
	}
}
