// Package dispatch is the Engager: it hands the actions that were decided to the channels. What
// enters are topics.Actions, and topics.Presences, which says where users are; what leaves are calls
// to channels, and topics.Deliveries.
//
// Each action is delivered at least once or reported as expired or failed: an offset is committed
// only when the Delivery of every action before it is in the log. Whoever takes over a partition,
// after a crash or a rebalance, starts at the first action that was not finished; the browser drops
// an action whose id it had. Per user, actions go out one at a time, in the log's order.
package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/sinks/channels"
)

// Config sets up the Engager. The tags are for cmd.
type Config struct {
	Kafka kafka.Config        `embed:""`
	Push  channels.PushConfig `embed:""`

	// Group is the consumer group; engagers of one group share the work.
	Group string `help:"Consumer group." env:"DWELL_ENGAGER_GROUP" default:"dwell.engager"`
	// MaxWaiting bounds the actions that wait, in this process; beyond it the oldest are given up.
	MaxWaiting int `help:"Actions that may wait for their users." default:"100000"`
	// MaxWait is how long an action without an expiry waits, counted from its record's time.
	MaxWait time.Duration `help:"Longest wait of an action." default:"24h"`
	// Concurrency is how many calls are open at once, PerNode how many of them to one node.
	Concurrency int `help:"Calls open at once." default:"256"`
	PerNode     int `help:"Calls open at once to one gateway node." default:"64"`
	// CommitInterval is the time between commits; what was finished since the last one is delivered
	// again after a crash.
	CommitInterval time.Duration `help:"Time between commits." default:"1s"`
	// SessionTimeout is how long the group waits for a dead engager before others take over.
	SessionTimeout time.Duration `help:"Group session timeout." default:"10s"`
	// StopTimeout is how long calls under way may still take when the Engager stops.
	StopTimeout time.Duration `help:"Time to finish calls when stopping." default:"5s"`
}

// DefaultConfig is a broker on this machine and gateways on loopback; the secret is missing.
func DefaultConfig() Config {
	return Config{
		Kafka: kafka.DefaultConfig(), Push: channels.DefaultPush(), Group: "dwell.engager",
		MaxWaiting: 100_000, MaxWait: 24 * time.Hour, Concurrency: 256, PerNode: 64,
		CommitInterval: time.Second, SessionTimeout: 10 * time.Second, StopTimeout: 5 * time.Second,
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	positive := func(name string, ok bool, v any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %v is not positive", name, v))
		}
	}
	if c.Group == "" {
		faults = append(faults, errors.New("group: none given"))
	}
	positive("max waiting", c.MaxWaiting > 0, c.MaxWaiting)
	positive("max wait", c.MaxWait > 0, c.MaxWait)
	positive("concurrency", c.Concurrency > 0, c.Concurrency)
	positive("per node", c.PerNode > 0, c.PerNode)
	positive("commit interval", c.CommitInterval > 0, c.CommitInterval)
	positive("session timeout", c.SessionTimeout > 0, c.SessionTimeout)
	positive("stop timeout", c.StopTimeout > 0, c.StopTimeout)
	return errors.Join(append(faults, c.Kafka.Validate(), c.Push.Validate())...)
}

// Deps are what the process gives to the Engager. The zero value is ready.
type Deps struct {
	// Registerer takes the metrics; nil: none.
	Registerer prometheus.Registerer
	// Log; nil: slog.Default.
	Log *slog.Logger
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Channels serve further kinds of actions, besides the push to the browser.
	Channels []channels.Channel
}

func (d Deps) withDefaults() Deps {
	if d.Log == nil {
		d.Log = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return d
}
