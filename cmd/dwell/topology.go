package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

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
		if d.Wakes {
			b.WriteString(", wakes rows at their deadlines")
		}
		b.WriteString("\n")
		row := func(verb string, specs []*topics.Spec) {
			for _, s := range specs {
				fmt.Fprintf(&b, "  %-8s%s%s\n", verb, s.Name, traits(s))
				verb = ""
			}
		}
		row("reads", d.Inputs)
		row("holds", wholeTopics(d))
		row("keeps", keptTopics(d))
		row("writes", d.Outputs)
		row("rejects", []*topics.Spec{topics.DeadLetters.Spec})
	}
	return b.String()
}

func traits(s *topics.Spec) string {
	switch {
	case s.Compact && s.Partitions == 0:
		return " (one row per user)"
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
		for j, s := range keptTopics(d) {
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
