package cart

import (
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/topics"
)

func TestAbandonedAfterOneHour(t *testing.T) {
	r := proctest.New(t, Processor)
	proctest.Send(r, Events, "ann", Event{Name: "add"})
	r.Advance(time.Hour)
	if got := proctest.Take(r, topics.Actions); len(got) != 1 || got[0].Campaign != "abandoned" {
		t.Errorf("actions = %v", got)
	}
}
