package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/replay"
	"github.com/dwellhq/dwell/kafka"
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
