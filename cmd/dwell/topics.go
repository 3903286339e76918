package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/exposure"
	"github.com/dwellhq/dwell/topics"
)

type topicsCmd struct {
	Plan  topicsPlanCmd  `cmd:"" help:"Show how the brokers' topics differ from what dwell needs; changes nothing. Fails when something is refused."`
	Apply topicsApplyCmd `cmd:"" help:"Show the same, then create topics and set configuration. Changes nothing, and fails, when something is refused."`
}

type topicsPlanCmd struct {
	kafka.Config `embed:""`
	Timeout      time.Duration `help:"How long to wait for the brokers." default:"30s"`
}

// Run implements the command.
func (c *topicsPlanCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return planTopics(ctx, os.Stdout, c.Config, declaredTopics(builtinProcessors()), false)
}

type topicsApplyCmd struct {
	kafka.Config `embed:""`
	Timeout      time.Duration `help:"How long to wait for the brokers." default:"30s"`
}

// Run implements the command.
func (c *topicsApplyCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return planTopics(ctx, os.Stdout, c.Config, declaredTopics(builtinProcessors()), true)
}

// errRefused is the end of a plan that a person must look at.
var errRefused = errors.New("some topics are not as dwell needs them, and it does not change that by itself: nothing was changed")

func planTopics(ctx context.Context, w io.Writer, cfg kafka.Config, specs []*topics.Spec, apply bool) error {
	changes, err := kafka.Plan(ctx, cfg, specs...)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		fmt.Fprintf(w, "all %d topics are as declared\n", len(specs))
		return nil
	}
	if err := printPlan(w, changes); err != nil {
		return err
	}
	switch {
	case topics.Is(changes, topics.Refused):
		return errRefused
	case !apply:
		return nil
	}
	if err := kafka.Apply(ctx, cfg, changes); err != nil {
		return err
	}
	fmt.Fprintln(w, "applied")
	return nil
}

func printPlan(w io.Writer, changes []topics.Change) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tWHAT\tSETTING\tFOUND\tNEEDED\tWHY")
	for _, c := range changes {
		why := c.Why
		if c.Do != "" {
			why += ". To do: " + c.Do
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Topic, c.What, dash(c.Setting), dash(c.From), c.To, why)
	}
	return table.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// builtinProcessors are those that dwell worker runs.
func builtinProcessors() []*processors.Def {
	return []*processors.Def{engage.Processor, exposure.Processor}
}

// declaredTopics is dwell's own topics, and what the processors read, write and keep.
func declaredTopics(defs []*processors.Def) []*topics.Spec {
	all := topics.Builtin()
	seen := map[*topics.Spec]bool{}
	for _, s := range all {
		seen[s] = true
	}
	add := func(s *topics.Spec) {
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	for _, d := range defs {
		for _, s := range d.Inputs {
			add(s)
		}
		for _, s := range d.Outputs {
			add(s)
		}
		for _, v := range d.Whole {
			add(v.Topic())
		}
		for _, s := range keptTopics(d) {
			add(s)
		}
	}
	return all
}

// keptTopics are those that a processor has for itself: its table and, if it keeps one, its journal.
func keptTopics(d *processors.Def) []*topics.Spec {
	kept := []*topics.Spec{topics.Table(d.Name, d.MaxRowBytes)}
	if d.Journal {
		kept = append(kept, &topics.Spec{Name: journal.Topic("dwell." + d.Name), Retention: journal.Retention(d.Inputs)})
	}
	return kept
}
