package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dwellhq/dwell/internal/bench"
	"github.com/dwellhq/dwell/internal/bench/core"
	"github.com/dwellhq/dwell/internal/bench/decide"
	"github.com/dwellhq/dwell/internal/bench/edit"
	"github.com/dwellhq/dwell/internal/bench/recovery"
)

type benchCmd struct {
	Popup benchPopupCmd `cmd:"" help:"Event to popup, in a real browser on the demo page, with background load, against a running dwell (make run)."`
	Core  benchCoreCmd  `cmd:"" help:"Throughput of the stream core beside stock goka, bare franz-go and Kafka Streams, same records, one broker."`
	// Latency is event to action; popup is the whole way.
	Latency benchLatencyCmd `cmd:"" help:"Event to action at steady rates, with a read_committed reader."`
	Decide  benchDecideCmd  `cmd:"" help:"What a hundred live campaigns cost: the processor alone, a worker on a broker, Flink CEP beside it."`
	Edit    benchEditCmd    `cmd:"" help:"How soon an edit of a live campaign is live everywhere, under load, and that no verdict is lost or mixed by it."`
	// Recovery reads the table; takeover hands it over.
	Recovery benchRecoveryCmd `cmd:"" help:"How fast a worker reads its rows back: from the table's topic, and from its local store."`
	Takeover benchTakeoverCmd `cmd:"" help:"How long partitions stand still when a worker joins, leaves or is killed with -9, with standbys and without."`
	Child    benchChildCmd    `cmd:"" hidden:"" help:"A process that core, latency and decide start."`
}

type benchCoreCmd struct {
	core.Throughput `embed:""`
	Stacks          []string `help:"Stacks: dwell, goka, franz, streams, streams-mem." default:"dwell,goka,franz,streams,streams-mem"`
	JSON            bool     `help:"Print JSON, an object a stack."`
}

// Run implements the command.
func (c *benchCoreCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	t := c.Throughput
	if err := prepare(&t.Config, c.Stacks); err != nil {
		return err
	}
	results, err := t.Run(ctx)
	if err != nil {
		return err
	}
	faults := []error{printed(results, c.JSON, core.Print)}
	for _, r := range results {
		if !r.OK() {
			faults = append(faults, fmt.Errorf("%s failed or broke its guarantee", r.Stack))
		}
	}
	return errors.Join(faults...)
}

type benchLatencyCmd struct {
	core.Latency `embed:""`
	Stacks       []string `help:"Stacks: dwell, goka, franz, streams, streams-mem." default:"dwell"`
	JSON         bool     `help:"Print JSON, an object a stack and rate."`
}

// Run implements the command.
func (c *benchLatencyCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	l := c.Latency
	if err := prepare(&l.Config, c.Stacks); err != nil {
		return err
	}
	delays, err := l.Run(ctx)
	if err != nil {
		return err
	}
	faults := []error{printed(delays, c.JSON, core.PrintDelays)}
	for _, d := range delays {
		if !d.OK() {
			faults = append(faults, fmt.Errorf("%s at %d events/s failed or broke its guarantee", d.Stack, d.Rate))
		}
	}
	return errors.Join(faults...)
}

// prepare fills in what the flags do not say. Lines for people go to standard error.
func prepare(c *core.Config, stacks []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program's own path: %w", err)
	}
	c.Stacks, c.Child = stacks, []string{self, "bench", "child"}
	c.Say = func(line string) { fmt.Fprintln(os.Stderr, line) }
	return nil
}

func printed[T any](rows []T, asJSON bool, table func(io.Writer, []T)) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(rows)
	}
	table(os.Stdout, rows)
	return nil
}

type benchDecideCmd struct {
	decide.Config `embed:""`
	JSON          bool `help:"Print JSON."`
}

// Run implements the command.
func (c *benchDecideCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program's own path: %w", err)
	}
	d := c.Config
	d.Child = []string{self, "bench", "child", "--of", "decide"}
	d.Say = func(line string) { fmt.Fprintln(os.Stderr, line) }
	r, err := d.Run(ctx)
	if err != nil {
		return err
	}
	faults := []error{printed([]*decide.Report{r}, c.JSON, func(w io.Writer, rows []*decide.Report) { rows[0].Print(w) })}
	for _, s := range r.Stacks {
		if !s.OK() {
			faults = append(faults, fmt.Errorf("%s failed or decided otherwise", s.Name))
		}
	}
	return errors.Join(faults...)
}

type benchEditCmd struct {
	edit.Config `embed:""`
	JSON        bool `help:"Print JSON."`
}

// Run implements the command.
func (c *benchEditCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program's own path: %w", err)
	}
	e := c.Config
	e.Child, e.Worker = []string{self, "bench", "child", "--of", "edit"}, []string{self, "worker"}
	e.Say = func(line string) { fmt.Fprintln(os.Stderr, line) }
	r, err := e.Run(ctx)
	if err != nil {
		return err
	}
	err = printed([]*edit.Report{r}, c.JSON, func(w io.Writer, rows []*edit.Report) { rows[0].Print(w) })
	if !r.OK() {
		err = errors.Join(err, errors.New("an edit lost, mixed or changed a verdict"))
	}
	return err
}

type benchRecoveryCmd struct {
	recovery.Config `embed:""`
	JSON            bool `help:"Print JSON, an object a way."`
}

// Run implements the command.
func (c *benchRecoveryCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	if err := prepareRecovery(&c.Config); err != nil {
		return err
	}
	all, err := recovery.Measure(ctx, c.Config)
	return errors.Join(err, printed(all, c.JSON, recovery.Print))
}

type benchTakeoverCmd struct {
	recovery.TakeoverConfig `embed:""`
	JSON                    bool `help:"Print JSON, an object a change."`
}

// Run implements the command.
func (c *benchTakeoverCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	if err := prepareRecovery(&c.Config); err != nil {
		return err
	}
	all, err := recovery.MeasureTakeover(ctx, c.TakeoverConfig)
	return errors.Join(err, printed(all, c.JSON, recovery.PrintTakeover))
}

func prepareRecovery(c *recovery.Config) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program's own path: %w", err)
	}
	c.Child = []string{self, "bench", "child", "--of", "recovery"}
	c.Say = func(line string) { fmt.Fprintln(os.Stderr, line) }
	return nil
}

type benchChildCmd struct {
	Job string `arg:"" help:"What to do, as JSON."`
	Of  string `help:"The bench that starts it." enum:"core,decide,edit,recovery" default:"core"`
}

// Run implements the command.
func (c *benchChildCmd) Run() error {
	switch c.Of {
	case "decide":
		return decide.Child(context.Background(), c.Job, os.Stdin, os.Stdout)
	case "edit":
		return edit.Child(context.Background(), c.Job, os.Stdin, os.Stdout)
	case "recovery":
		return recovery.Child(context.Background(), c.Job, os.Stdin, os.Stdout)
	}
	return core.Child(context.Background(), c.Job, os.Stdin, os.Stdout)
}

type benchPopupCmd struct {
	URL     string `help:"Pages and API of the dwell to measure." default:"http://127.0.0.1:8080"`
	Key     string `help:"Write key of the background load." default:"demo"`
	Rate    int    `help:"Background load, events per second." default:"1000"`
	N       int    `help:"Popups to measure." short:"n" default:"200"`
	Browser string `help:"Path of a Chromium; empty: the first in PATH." type:"path"`
	JSON    bool   `help:"Print JSON."`
}

// popupResult is one row of the table: quantiles in milliseconds.
type popupResult struct {
	What string  `json:"what"`
	N    int     `json:"n"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

// Run implements the command.
func (c *benchPopupCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	t, err := bench.Popup{URL: c.URL, Key: c.Key, Rate: c.Rate, N: c.N, Browser: c.Browser}.Run(ctx)
	if err != nil {
		return err
	}
	rows := []popupResult{result("event → answer (in the log)", t.Answer), result("event → popup on the screen", t.Popup)}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rows)
	}
	fmt.Printf("%d events in the background over %.1f s: %.0f events/s\n\n", t.Sent, t.Seconds, float64(t.Sent)/max(t.Seconds, 1e-3))
	fmt.Printf("%-30s %6s %8s %8s %8s %8s\n", "milliseconds", "n", "p50", "p90", "p99", "max")
	for _, r := range rows {
		fmt.Printf("%-30s %6d %8.1f %8.1f %8.1f %8.1f\n", r.What, r.N, r.P50, r.P90, r.P99, r.Max)
	}
	return nil
}

func result(what string, sorted []float64) popupResult {
	return popupResult{
		what, len(sorted), bench.Quantile(sorted, 0.5), bench.Quantile(sorted, 0.9), bench.Quantile(sorted, 0.99), bench.Quantile(sorted, 1),
	}
}
