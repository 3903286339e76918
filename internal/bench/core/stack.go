package core

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/peers"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// The stacks, by the names that Config.Stacks takes.
const (
	Dwell         = "dwell"       // dwell's stream core with its local store
	Goka          = "goka"        // goka as it comes: sarama and leveldb
	Franz         = "franz"       // franz-go and a map: what the client library can do at most
	Streams       = "streams"     // Kafka Streams, RocksDB, one thread, Config.StreamsInterval
	StreamsMemory = "streams-mem" // Kafka Streams, rows in memory, two threads, 100 ms: its best figures
)

// Stacks are all of them, in the order of the table.
func Stacks() []string { return []string{Dwell, Goka, Franz, Streams, StreamsMemory} }

// Guarantee is what a stack promises.
func Guarantee(stack string) string {
	switch stack {
	case Dwell, Streams, StreamsMemory:
		return "exactly once"
	}
	return "at least once"
}

func title(stack string) string {
	switch stack {
	case Dwell:
		return "dwell"
	case Goka:
		return "goka + sarama + leveldb"
	case Franz:
		return "bare franz-go, map"
	case Streams:
		return "Kafka Streams, RocksDB"
	case StreamsMemory:
		return "Kafka Streams, in memory"
	}
	return stack
}

func ofStreams(stack string) bool { return stack == Streams || stack == StreamsMemory }

// checkStacks reports the first name that is none.
func checkStacks(names []string) error {
	for _, s := range names {
		if !slices.Contains(Stacks(), s) {
			return fmt.Errorf("stacks: there is no %q; choose among %s", s, strings.Join(Stacks(), ", "))
		}
	}
	return nil
}

// brokerJob is the embedded Kafka, in a process of its own.
const brokerJob = "broker"

// job is what one stack process is to do. It reaches the process as JSON.
type job struct {
	Stack      string   `json:"stack"` // or brokerJob
	Brokers    []string `json:"brokers"`
	Partitions int32    `json:"partitions"`
	// Event is Raw or Protobuf.
	Event string `json:"event"`
	// Name is unique in the broker; Input and Actions are topics that exist.
	Name     string        `json:"name"`
	Input    string        `json:"input"`
	Actions  string        `json:"actions"`
	Dir      string        `json:"dir"`
	Interval time.Duration `json:"interval_ns"`
}

// group is the consumer group under which the stack commits.
func (j job) group() string {
	if j.Stack == Dwell {
		return "dwell." + j.Name
	}
	return j.Name
}

// table is the topic of the rows.
func (j job) table() string {
	if ofStreams(j.Stack) {
		return j.Name + "-table-changelog"
	}
	return j.group() + "-table"
}

// Child does one job, given as JSON, for a measuring process, as child.Serve says. Only Run and Latency
// start children.
func Child(ctx context.Context, spec string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	return child.Serve(ctx, in, out, j.work)
}

func (j job) work(ctx context.Context, say *child.Speaker) error {
	if j.Stack == brokerJob {
		return child.Embedded(ctx, say)
	}
	return j.run(ctx)
}

// run processes until ctx ends; nil then.
func (j job) run(ctx context.Context) error {
	switch j.Stack {
	case Dwell:
		return j.dwell(ctx)
	case Goka:
		return peers.Stock[tally]{
			Brokers: j.Brokers, Group: j.Name, Input: j.Input, Output: j.Actions, Replicas: 1, Dir: j.Dir, Row: tallyCodec{}, Step: j.step,
		}.Run(ctx)
	case Franz:
		return j.franz(ctx)
	}
	return fmt.Errorf("there is no stack %q in this process", j.Stack)
}

func (j job) config() kafka.Config {
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Partitions = j.Brokers, j.Partitions
	return cfg
}

func (j job) dwell(ctx context.Context) error {
	out := topics.Of(topics.Spec{Name: j.Actions}, schemas.Codec[action](actionCodec{}))
	def := processors.Define(processors.Processor[tally]{
		Name: j.Name, Outputs: []*topics.Spec{out.Spec}, Row: tallyCodec{}, Interval: j.Interval,
		Inputs: []processors.Input[tally]{j.input(out)},
	})
	cfg := stream.DefaultConfig()
	cfg.Kafka, cfg.Dir, cfg.InstanceID = j.config(), j.Dir, "bench"
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := stream.New(cfg, def)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}
