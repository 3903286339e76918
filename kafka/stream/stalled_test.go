package stream

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// Who asks afterwards why partitions were never set up must find it in the log, once.
func TestASetUpThatGetsNowhereTellsWhatEverybodyWaitsFor(t *testing.T) {
	var log bytes.Buffer
	in := topics.Stream[int]("in")
	def := processors.Define(processors.Processor[int]{
		Name: "p", Inputs: []processors.Input[int]{processors.On(in, func(*processors.Turn[int], int) {})},
	})
	s := &session{
		p: &Processor{def: def, log: slog.New(slog.NewTextHandler(&log, nil))}, gen: 7, assigned: map[string][]int32{"in": {1, 2}},
	}
	for i, c := range []struct {
		rows   int64
		stacks bool
	}{{5, false}, {0, true}, {0, false}} {
		log.Reset()
		s.stalled(30*time.Second, c.rows)
		said := log.String()
		if !strings.Contains(said, "level=WARN") || !strings.Contains(said, "generation=7") || !strings.Contains(said, `partitions="[1 2]"`) || !strings.Contains(said, "for=30s") {
			t.Errorf("%d: %s", i, said)
		}
		if got := strings.Contains(said, "TestASetUpThatGetsNowhere"); got != c.stacks {
			t.Errorf("%d: stacks %v: %.300s", i, got, said)
		}
	}
}
