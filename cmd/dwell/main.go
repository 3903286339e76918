// Command dwell is every role of dwell in one binary, and the tools around them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/dwellhq/dwell/internal/config"
)

const description = `dwell turns what users do into what they should see next, within milliseconds, and into numbers that analysts can slice, each counted exactly once.`

type cli struct {
	config.File
	Version kong.VersionFlag `help:"Print the version."`

	Dev    devCmd    `cmd:"" group:"Try it" help:"Run everything on this machine, with an embedded Kafka and ClickHouse."`
	Replay replayCmd `cmd:"" group:"Try it" help:"Replay a web server log (Combined Log Format, gzip too): one page event a line."`

	Apply    applyCmd    `cmd:"" group:"Declare" help:"Publish campaign files and wait until every worker decides by them."`
	Diff     diffCmd     `cmd:"" group:"Declare" help:"Show what apply would change, line by line; publish nothing."`
	Get      getCmd      `cmd:"" group:"Declare" help:"List what is declared."`
	Describe describeCmd `cmd:"" group:"Declare" help:"Show one declaration with its versions."`
	Delete   deleteCmd   `cmd:"" group:"Declare" help:"Take a declaration away."`
	Campaign campaignCmd `cmd:"" group:"Declare" help:"Pause, resume, archive, explain and rehearse campaigns."`
	Audience audienceCmd `cmd:"" group:"Declare" help:"Load, list, show and empty audiences."`
	Erase    eraseCmd    `cmd:"" group:"Declare" help:"Forget a person: all that the Decider keeps, and what comes of the id later. --lift ends it."`
	Schema   schemaCmd   `cmd:"" group:"Declare" help:"Print the JSON schema of declarations, for editors."`
	Key      keyCmd      `cmd:"" group:"Declare" help:"Create, list and revoke the keys with which clients come in."`

	Gateway gatewayCmd `cmd:"" group:"Run a role" help:"Take events and frames over HTTP, hold the browsers' push channels."`
	Worker  workerCmd  `cmd:"" group:"Run a role" help:"Run the processors engage (the Decider), exposure and profile."`
	Engager engagerCmd `cmd:"" group:"Run a role" help:"Deliver what was decided."`
	Sink    sinkCmd    `cmd:"" group:"Run a role" help:"Write facts, verdicts, actions and the exposure ledger into ClickHouse, each once."`

	Status      statusCmd      `cmd:"" group:"Look" help:"Show who has which partition, how far recovery and standbys are, and which deadlines are late."`
	Facts       factsCmd       `cmd:"" group:"Look" help:"Show facts as NDJSON."`
	Topics      topicsCmd      `cmd:"" group:"Look" help:"Compare the brokers' topics with what dwell needs, and make them so."`
	Dlq         dlqCmd         `cmd:"" group:"Look" help:"List, show and replay dead letters: records that were rejected."`
	Topology    topologyCmd    `cmd:"" group:"Look" help:"Draw what the worker's processors read, keep and write."`
	ReplayCheck replayCheckCmd `cmd:"" group:"Look" help:"Do again what a processor did, by its journal, and compare every row and output."`
	Bench       benchCmd       `cmd:"" group:"Look" help:"Measure."`

	EmbeddedKafka      embeddedKafkaCmd      `cmd:"" hidden:"" help:"The Kafka that dev starts."`
	EmbeddedClickhouse embeddedClickHouseCmd `cmd:"" hidden:"" help:"The ClickHouse that dev starts."`
}

func main() {
	var c cli
	p, err := config.Parser(&c, "dwell", description, kong.Vars{"version": version()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	k, err := p.Parse(os.Args[1:])
	p.FatalIfErrorf(err)
	// Errors of a command are about the world, not about its usage.
	if err := k.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "dwell %s: %v\n", k.Command(), err)
		os.Exit(1)
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

// interruptible is the context of a tool: an interrupt ends it, a second one kills the process.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
