package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/integration/torture/loose"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/peers/torturegoka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// workerEnv holds a workerConfig as JSON; the program is then a worker.
const workerEnv = "DWELL_TORTURE_WORKER"

// The stacks.
const (
	stackDwell = "dwell"
	stackLoose = "loose"
	stackGoka  = "goka"
)

// Short, so that a run sees many ends of sessions and transactions.
const (
	sessionTimeout = 3 * time.Second
	txnTimeout     = 6 * time.Second
)

const (
	partitions = 4
	// rowLimit is the most that a row may have; fat events grow it beyond.
	rowLimit = 8 << 10
	// idleAfter is how long a row may get no pulse before it acts.
	idleAfter = 700 * time.Millisecond

	countTopic, countName = "torture.events.v1", "torture-count"
	pulseTopic, idleName  = "torture.pulses.v1", "torture-idle"
)

type workerConfig struct {
	Brokers              []string
	Instance, Dir, Stack string
}

// event is what users do.
type event struct {
	ID  uint64 `json:"id"`
	Pad string `json:"pad,omitempty"`
	// Fat stays in the row for good, so that a fat event is too much whatever follows it in a batch:
	// the limit is looked at when a row is written, once a transaction.
	Fat string `json:"fat,omitempty"`
}

// tally is a user's row.
type tally struct {
	N    uint64 `json:"n"`
	Sum  uint64 `json:"sum"`
	Last uint64 `json:"last"`
	Pad  string `json:"pad,omitempty"`
	Fat  string `json:"fat,omitempty"`
	Woke uint64 `json:"woke,omitempty"`
}

func (s *tally) take(e event) {
	s.N, s.Sum, s.Last, s.Pad = s.N+1, s.Sum+e.ID, e.ID, e.Pad
	s.Fat += e.Fat
}

// counting counts events; each tenth acts, with its id.
func counting() *processors.Def {
	return processors.Define(processors.Processor[tally]{
		Name: countName, MaxRowBytes: rowLimit,
		Inputs: []processors.Input[tally]{processors.On(topics.Stream[event](countTopic), func(t *processors.Turn[tally], e event) {
			t.State.take(e)
			if e.ID%10 == 0 {
				t.Act(fmt.Sprint("tenth-", e.ID), "push")
			}
		})},
	})
}

// idling acts once when no pulse came for a while.
func idling() *processors.Def {
	return processors.Define(processors.Processor[tally]{
		Name: idleName,
		Inputs: []processors.Input[tally]{processors.On(topics.Stream[event](pulseTopic), func(t *processors.Turn[tally], e event) {
			t.State.take(e)
			t.WakeAt(t.Now.Add(idleAfter))
		})},
		Wake: func(t *processors.Turn[tally]) {
			t.State.Woke++
			t.Act("idle", "push")
		},
	})
}

// workerMain is the life of a worker process; it returns the exit code.
func workerMain() int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() { // ends with the process; the other end of stdin ends with who started us
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	var c workerConfig
	err := json.Unmarshal([]byte(os.Getenv(workerEnv)), &c)
	if err == nil {
		err = c.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	return 0
}

func (c workerConfig) run(ctx context.Context) error {
	if c.Stack == stackGoka {
		return torturegoka.Run(ctx, torturegoka.Config{
			Brokers: c.Brokers, Group: countName, Input: countTopic, Output: topics.Actions.Name, Dir: c.Dir, Step: gokaStep(counting()),
		})
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, def := range []*processors.Def{counting(), idling()} {
		g.Go(func() error {
			cfg := stream.DefaultConfig()
			cfg.Kafka = kafka.DefaultConfig()
			cfg.Kafka.Brokers, cfg.Kafka.Partitions = c.Brokers, partitions
			cfg.InstanceID, cfg.Dir = c.Instance, filepath.Join(c.Dir, def.Name)
			cfg.SessionTimeout, cfg.TxnTimeout = sessionTimeout, txnTimeout
			cfg.Logger = slog.New(slog.NewTextHandler(os.Stdout, nil))
			if c.Stack == stackLoose {
				l := loose.New(def.Inputs[0].Name, c.Instance)
				cfg.Kafka.Extra = append(cfg.Kafka.Extra, kgo.WithHooks(l))
				g.Go(func() error { return l.Run(ctx) })
			}
			p, err := stream.New(cfg, def)
			if err != nil {
				return err
			}
			return p.Run(ctx)
		})
	}
	return g.Wait()
}

// gokaStep runs the counting processor's own code on another stack.
func gokaStep(def *processors.Def) torturegoka.Step {
	return func(key string, row, value []byte) ([]byte, [][]byte, error) {
		call := processors.Call{Key: key, NowMS: 1, Value: value}
		var err error
		if row != nil {
			if call.Row, err = def.DecodeRow(row); err != nil {
				return nil, nil, err
			}
		}
		if err := def.Step(0, &call); err != nil {
			return nil, nil, err
		}
		var out [][]byte
		for _, e := range call.Out {
			out = append(out, e.Value)
		}
		row, err = def.AppendRow(nil, call.Row)
		return row, out, err
	}
}

// tenants: a second one must not see the first one's rows.
var tenants = []string{"acme", "globex"}

func userKey(prefix string, i int) string {
	return strings.Join([]string{tenants[i%len(tenants)], fmt.Sprint(prefix, i/len(tenants))}, "/")
}
