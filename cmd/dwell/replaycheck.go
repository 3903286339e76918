package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/exposure"
)

type replayCheckCmd struct {
	kafka.Config `embed:""`
	Group        string `arg:"" enum:"engage,exposure" help:"Processor: engage or exposure."`
	Partition    int32  `help:"Only this partition; -1: all." default:"-1"`
}

var errDiffers = errors.New("the replay differs from what happened")

// Run implements the command.
func (c *replayCheckCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	def := map[string]*processors.Def{"engage": engage.Processor, "exposure": exposure.Processor}[c.Group]
	r, err := journal.Replay(ctx, c.Config, def, c.Partition)
	if err != nil {
		return err
	}
	fmt.Print(replayed(r))
	if r.First != nil {
		return fmt.Errorf("%w, first at %w", errDiffers, r.First)
	}
	return nil
}

// replayed is a report as people read it.
func replayed(r journal.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "transactions  %d\nrecords       %d (%d rejected)\nwakes         %d\nrows          %d compared\noutputs       %d compared\ndifferences   %d\n",
		r.Transactions, r.Records, r.Rejected, r.Wakes, r.Rows, r.Outputs, r.Differences)
	if r.Elsewhere > 0 {
		fmt.Fprintf(&b, "%d outputs are other partitions'\n", r.Elsewhere)
	}
	if now := journal.Version(); len(r.Versions) > 1 || len(r.Versions) == 1 && r.Versions[0] != now {
		fmt.Fprintf(&b, "the journal was written by %s; this is %s\n", strings.Join(r.Versions, ", "), now)
	}
	if len(r.Holed) > 0 {
		fmt.Fprintf(&b, "%s: records are gone, perhaps by compaction; a version that was in force may be among them\n", strings.Join(r.Holed, ", "))
	}
	return b.String()
}
