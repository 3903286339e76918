package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/replay"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/exposure"
)

type replayCmd struct {
	kafka.Config `embed:""`
	File         string  `arg:"" help:"The log, plain or gzip." type:"existingfile"`
	Name         string  `help:"Name of this replay; its events' ids are made from it and the line numbers. Default: the file's name."`
	Tenant       string  `help:"Tenant of the events." default:"demo" env:"DWELL_TENANT"`
	Rate         float64 `help:"At most so many lines a second; 0: as fast as the brokers take them."`
	Again        bool    `help:"Send the lines that the log has already, too; they are recognised and do not count again."`
}

// Run implements the command.
func (c *replayCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	name := c.Name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(c.File), ".gz")
	}
	p, err := replay.Run(ctx, c.Config, replay.Config{File: c.File, Name: name, Tenant: c.Tenant, Again: c.Again, Rate: c.Rate, Progress: show})
	if err != nil {
		return err
	}
	if p.Sent+p.Unparsed == 0 && p.Resumed > 0 {
		fmt.Printf("replay %q has all %d lines already: nothing to do\n", name, p.Lines)
		return nil
	}
	fmt.Printf("%d lines: %d events sent, %d unparsed (in the dead letters, with file and line)", p.Lines, p.Sent, p.Unparsed)
	if p.Resumed > 0 {
		fmt.Printf("; went on after line %d", p.Resumed)
	}
	fmt.Println()
	return nil
}

// show prints the progress, on a terminal in place.
func show(p replay.Progress) {
	end := "\n"
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 && !p.Done {
		end = "\r"
	}
	rate := float64(p.Sent) / max(p.Elapsed.Seconds(), 1e-3)
	fmt.Fprintf(os.Stderr, "line %d, %d sent, %.0f events/s, %s%s", p.Lines, p.Sent, rate, p.Elapsed.Round(100*time.Millisecond), end)
}

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
	fmt.Fprintf(&b, "transactions  %d\nrecords       %d (%d rejected)\nwakes         %d (%d rejected)\nrows          %d compared\noutputs       %d compared\ndifferences   %d\n",
		r.Transactions, r.Records, r.Rejected, r.Wakes, r.RejectedWakes, r.Rows, r.Outputs, r.Differences)
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
