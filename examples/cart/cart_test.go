package cart

import (
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/proctest"
)

func TestAbandonedAfterOneHour(t *testing.T) {
	proctest.Send(proctest.New(t, Processor), Events, "ann", Event{"add"}).Advance(time.Hour).WantActions("abandoned")
}
