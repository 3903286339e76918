package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/exposure"
	"github.com/dwellhq/dwell/processors/profile"
	"github.com/dwellhq/dwell/topics"
	"github.com/dwellhq/dwell/worker"
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
	return planTopics(ctx, os.Stdout, c.Config, worker.Topics(builtinProcessors()...), false)
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
	return planTopics(ctx, os.Stdout, c.Config, worker.Topics(builtinProcessors()...), true)
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
	return []*processors.Def{engage.Processor, exposure.Processor, profile.Processor}
}

type topologyCmd struct {
	Format string `help:"text, or mermaid (for Markdown, or mermaid.live)." enum:"text,mermaid" default:"text"`
}

// Run implements the command.
func (c *topologyCmd) Run() error {
	draw := outline
	if c.Format == "mermaid" {
		draw = mermaid
	}
	_, err := fmt.Fprint(os.Stdout, draw(builtinProcessors()))
	return err
}

// outline describes each processor in a few lines.
func outline(defs []*processors.Def) string {
	var b strings.Builder
	for i, d := range defs {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: group dwell.%s, commits every %v at the latest", d.Name, d.Name, d.Interval)
		if d.HasWake() {
			b.WriteString(", wakes rows at their deadlines")
		}
		if d.TTL > 0 {
			fmt.Fprintf(&b, ", forgets rows after %v", d.TTL)
		}
		b.WriteString("\n")
		row := func(verb string, specs []*topics.Spec) {
			for _, s := range specs {
				fmt.Fprintf(&b, "  %-9s%s%s\n", verb, s.Name, traits(s))
				verb = ""
			}
		}
		row("reads", d.Inputs)
		row("holds", wholeTopics(d))
		row("joins", otherTables(d, false))
		row("looks up", otherTables(d, true))
		row("keeps", slices.DeleteFunc(worker.Kept(d), func(s *topics.Spec) bool { return d.Loop != nil && s.Name == d.Loop.Name }))
		row("writes", d.Outputs)
		row("rejects", []*topics.Spec{topics.DeadLetters.Spec})
	}
	return b.String()
}

func traits(s *topics.Spec) string {
	switch {
	case s.Compact && (s.Partitions == 0 || strings.HasSuffix(s.Name, "-table")):
		return " (one row per key)"
	case s.Compact:
		return " (whole, in memory)"
	case s.Pack != nil:
		return " (in blocks)"
	}
	return ""
}

func wholeTopics(d *processors.Def) []*topics.Spec {
	var all []*topics.Spec
	for _, w := range d.Whole {
		all = append(all, w.Topic())
	}
	return all
}

// otherTables are those that a processor joins, or looks up.
func otherTables(d *processors.Def, whole bool) []*topics.Spec {
	var all []*topics.Spec
	for _, t := range d.Tables {
		if t.Whole == whole {
			all = append(all, t.Topic())
		}
	}
	return all
}

// mermaid draws the processors and the topics between them as a flowchart. Every topic is one node,
// so that processors meet where one reads what another writes.
func mermaid(defs []*processors.Def) string {
	var (
		nodes, edges strings.Builder
		names        []string
	)
	topic := func(s *topics.Spec, shape string) string {
		i := slices.Index(names, s.Name)
		if i < 0 {
			i = len(names)
			names = append(names, s.Name)
			fmt.Fprintf(&nodes, "  t%d"+shape+"\n", i, label(s.Name))
		}
		return fmt.Sprintf("t%d", i)
	}
	const stream, kept = `[/"%s"/]`, `[("%s")]`
	for i, d := range defs {
		fmt.Fprintf(&nodes, "  p%d{{\"%s<br/>%v\"}}\n", i, label(d.Name), d.Interval)
		for _, s := range d.Inputs {
			fmt.Fprintf(&edges, "  %s --> p%d\n", topic(s, stream), i)
		}
		for _, s := range wholeTopics(d) {
			fmt.Fprintf(&edges, "  %s -. whole .-> p%d\n", topic(s, kept), i)
		}
		for _, s := range otherTables(d, false) {
			fmt.Fprintf(&edges, "  %s -. join .-> p%d\n", topic(s, kept), i)
		}
		for _, s := range otherTables(d, true) {
			fmt.Fprintf(&edges, "  %s -. look-up .-> p%d\n", topic(s, kept), i)
		}
		for j, s := range worker.Kept(d) {
			if d.Loop != nil && s.Name == d.Loop.Name {
				continue // it is among what the processor reads and writes
			}
			arrow := []string{"<-->", "-->"}[min(j, 1)] // the table is read back, the journal is not
			fmt.Fprintf(&edges, "  p%d %s %s\n", i, arrow, topic(s, kept))
		}
		for _, s := range d.Outputs {
			fmt.Fprintf(&edges, "  p%d --> %s\n", i, topic(s, stream))
		}
		fmt.Fprintf(&edges, "  p%d -. rejected .-> %s\n", i, topic(topics.DeadLetters.Spec, stream))
	}
	return "flowchart LR\n" + nodes.String() + edges.String()
}

// label is a text within quotes.
func label(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;").Replace(s)
}
