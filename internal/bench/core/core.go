// Package core measures dwell's stream core beside its peers: the same records, rows and actions on one
// broker, each stack in a process of its own. What enters is a Config; what leaves are Results, checked
// against what the input must lead to.
//
// The method is the same for every stack and knows nothing of its inside. The measuring process asks the
// broker, every 5 ms, up to where the stack's group has committed. The clock runs from the first commit
// that it sees to the one that covers all input, and the events between the two are what is counted; so
// start, set-up and first fetch of a stack are left out, and whatever is under way without being
// committed does not count. The CPU time is that of the stack's process between the same two moments.
package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Config is what throughput and latency have in common. The tags are for cmd.
type Config struct {
	Broker          string        `help:"Broker: embedded (kfake), real (an Apache Kafka, needs Java), or host:port of one." default:"embedded"`
	Users           int           `help:"Users." default:"100000"`
	Partitions      int32         `help:"Partitions." default:"8"`
	Interval        time.Duration `help:"Commit interval of dwell." default:"20ms"`
	StreamsInterval time.Duration `help:"Commit interval of streams; streams-mem has 100ms." default:"20ms"`
	Warm            time.Duration `help:"How long a real broker, whose JVM compiles meanwhile, is warmed up first." default:"45s"`
	Event           string        `help:"Event: raw (bytes in a fixed layout), or protobuf (dwell's built-in event, decoded by every stack)." enum:"raw,protobuf" default:"raw"`
	Cache           string        `help:"Folder of fetched parts; empty: the user's cache." env:"DWELL_CACHE" type:"path"`

	// Stacks to measure, in order.
	Stacks []string `kong:"-"`
	// Child is the command that calls Child with the argument appended to it.
	Child []string `kong:"-"`
	// Say gets a line for people now and then.
	Say func(string) `kong:"-"`
}

func (c Config) validate() error {
	faults := []error{checkStacks(c.Stacks)}
	if len(c.Stacks) == 0 {
		faults = append(faults, errors.New("stacks: none given"))
	}
	faults = append(faults, checkEvent(c.Event))
	if c.Users < 1 || c.Partitions < 1 {
		faults = append(faults, fmt.Errorf("%d users in %d partitions: at least one each", c.Users, c.Partitions))
	}
	if c.Interval < time.Millisecond || c.StreamsInterval < time.Millisecond {
		faults = append(faults, fmt.Errorf("intervals: %v and %v, at least 1ms each", c.Interval, c.StreamsInterval))
	}
	if c.Broker != EmbeddedBroker && c.Broker != RealBroker && !strings.Contains(c.Broker, ":") {
		faults = append(faults, fmt.Errorf("broker: %q is neither %s nor %s nor host:port", c.Broker, EmbeddedBroker, RealBroker))
	}
	return errors.Join(faults...)
}

// bench is a run under way: a broker, its topics, and the Kafka Streams application where there is one.
type bench struct {
	Config
	*ground
	broker *child.Broker
	dir    string
	app    *app
	runs   int
}

// open starts the broker and drops the stacks that cannot run here, saying so.
func open(ctx context.Context, c Config) (b *bench, err error) {
	if c.Say == nil {
		c.Say = func(string) {}
	}
	c.Event = cmp.Or(c.Event, Raw)
	b = &bench{Config: c}
	if b.dir, err = os.MkdirTemp("", "dwell-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder for the bench: %w", err)
	}
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) (err error) {
	var stacks []string
	for _, s := range b.Stacks {
		err := b.can(ctx, s)
		switch {
		case errors.Is(err, ErrNoStreams):
			b.Say("skipping " + s + ": " + err.Error())
		case err != nil:
			return err
		default:
			stacks = append(stacks, s)
		}
	}
	if b.Stacks = stacks; len(stacks) == 0 {
		return fmt.Errorf("none of the stacks can run here: %w", ErrNoStreams)
	}
	if b.broker, err = startBroker(ctx, b.Config, b.dir); err != nil {
		return err
	}
	if b.ground, err = newGround(ctx, b.broker.Addrs, b.Partitions); err != nil {
		return err
	}
	return b.warm(ctx)
}

// warmRate is enough for the JVM to find what is hot.
const warmRate = 20_000

// warm lets a real broker's JVM compile what every stack will ask of it, so that the first one measured
// does not pay for all. A stack that fails here fails again when it counts, and is reported then.
func (b *bench) warm(ctx context.Context) error {
	if b.Broker != RealBroker {
		return nil
	}
	b.Say("warming the broker up")
	d := b.newDelay(b.Stacks[0], warmRate)
	if err := b.delay(ctx, &d, max(int(b.Warm.Seconds())-warmSeconds, 1)); err != nil {
		b.Say("the warm-up failed: " + err.Error())
	}
	return context.Cause(ctx)
}

// can prepares what a stack needs besides a broker; an ErrNoStreams says that it cannot run here.
func (b *bench) can(ctx context.Context, stack string) (err error) {
	if !ofStreams(stack) || b.app != nil {
		return nil
	}
	if b.Broker == EmbeddedBroker {
		return fmt.Errorf("%w: Kafka's Java client stumbles over nulls in answers of kfake, the embedded broker; use --broker real", ErrNoStreams)
	}
	b.app, err = buildApp(ctx, b.Cache, b.Say)
	return err
}

// close ends the broker and removes everything.
func (b *bench) close() error {
	var err error
	if b.ground != nil {
		b.cl.Close()
	}
	if b.broker != nil {
		err = b.broker.Stop()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// job is the next run of a stack; its topics are made.
func (b *bench) job(ctx context.Context, stack, input string) (job, error) {
	b.runs++
	name := fmt.Sprintf("%s-%d-%s", b.seed, b.runs, stack)
	j := job{
		Stack: stack, Brokers: b.broker.Addrs, Partitions: b.Partitions, Event: b.Event, Name: name, Input: input, Actions: name + "-actions",
		Dir: filepath.Join(b.dir, name), Interval: b.Interval,
	}
	switch stack {
	case Streams:
		j.Interval = b.StreamsInterval
	case StreamsMemory:
		j.Interval = memoryInterval
	}
	if err := os.MkdirAll(j.Dir, 0o755); err != nil {
		return j, fmt.Errorf("make a folder for %s: %w", stack, err)
	}
	if err := b.create(ctx, false, j.Actions); err != nil {
		return j, err
	}
	if ofStreams(stack) {
		return j, nil // it makes its changelog itself, as it wants it
	}
	return j, b.create(ctx, true, j.table())
}

// launch starts the stack's process.
func (b *bench) launch(j job) (*child.Process, error) {
	if ofStreams(j.Stack) {
		return child.Start(j.Stack, j.Dir, b.app.argv(j))
	}
	argv, err := b.child(j)
	if err != nil {
		return nil, err
	}
	return child.Start(j.Stack, j.Dir, argv)
}

// tidy removes what a stack's run left behind.
func (b *bench) tidy(ctx context.Context, j job) error {
	return errors.Join(b.delete(ctx, j.Actions, j.table()), os.RemoveAll(j.Dir))
}
