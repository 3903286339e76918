package stream

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/brake"
	"github.com/dwellhq/dwell/kafka/stream/guarantee"
)

// Config says how a processor runs. Begin with DefaultConfig; InstanceID must be set.
type Config struct {
	Kafka kafka.Config
	// Dir holds the local store: a cache of the table that saves a restart from reading it whole.
	// Empty means in memory.
	Dir string
	// InstanceID tells this instance from the others of the group, and is the same after a restart:
	// a pod's name. Two living instances with one id shut each other out.
	InstanceID string
	// SessionTimeout is how long the group waits for an instance that vanished before others take
	// over; a restart within it finds its partitions again. Short means a quick take-over, but an
	// instance that stands still for longer, or restarts slower, costs the group two rebalances.
	// Brokers refuse less than 6 s by default: where they do, the default of 3 s becomes 6 s, and any
	// other value is an error.
	SessionTimeout time.Duration
	// Standbys is how many other instances keep a copy of each partition's table, so that a take-over
	// reads the tail only; zero means 1, negative none. Each copy costs reading and writing the table's
	// changes once more. All instances of a group should have the same.
	Standbys int
	// TxnTimeout is how long the brokers let a transaction run; it bounds how long the outputs of a
	// dead instance that nobody takes over stay undecided.
	TxnTimeout time.Duration
	// Interval overrides the processor's own; zero leaves it.
	Interval time.Duration
	// CacheBytes bounds the decoded rows that all partitions keep in memory, counted by five times their
	// encoded size.
	CacheBytes int64
	// Stay keeps the place in the group when Run ends, for a restart within SessionTimeout; else
	// others take over at once.
	Stay bool
	// Guarantee says how often a record counts; empty means exactly once.
	Guarantee guarantee.Guarantee
	// DeadLetters stops Run with an error when more records are rejected; the zero value is no limit.
	DeadLetters brake.Limit
	// Registerer gets the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger; nil means slog.Default.
	Logger *slog.Logger
}

// DefaultSessionTimeout lets others take over within 5 s of an instance's death.
const DefaultSessionTimeout = 3 * time.Second

// brokersSessionTimeout is the least that brokers allow unless they are told otherwise.
const brokersSessionTimeout = 6 * time.Second

// The limit of DefaultConfig: above both within a minute, the processor is more likely wrong than its
// records.
const (
	DefaultDeadLetterPercent = 5
	DefaultDeadLetters       = 100
)

// DefaultConfig runs against a broker on this machine.
func DefaultConfig() Config {
	return Config{
		Kafka: kafka.DefaultConfig(), SessionTimeout: DefaultSessionTimeout, TxnTimeout: 10 * time.Second, CacheBytes: 256 << 20,
		Standbys:    1,
		DeadLetters: brake.Limit{Percent: DefaultDeadLetterPercent, Records: DefaultDeadLetters},
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	faults := []error{c.Kafka.Validate(), c.Guarantee.Validate(), c.DeadLetters.Validate()}
	if c.InstanceID == "" {
		faults = append(faults, errors.New("instance id: none given; every instance needs one of its own that outlives a restart"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"session timeout", c.SessionTimeout}, {"transaction timeout", c.TxnTimeout}} {
		if d.value < time.Second || d.value > 15*time.Minute {
			faults = append(faults, fmt.Errorf("%s: %v is not within 1s to 15m", d.name, d.value))
		}
	}
	if c.Interval < 0 || c.Interval > c.TxnTimeout/2 {
		faults = append(faults, fmt.Errorf("interval: %v is not within 0 to half of the transaction timeout, %v", c.Interval, c.TxnTimeout/2))
	}
	if c.CacheBytes < 1<<20 {
		faults = append(faults, fmt.Errorf("cache: %d bytes, at least 1 MiB is needed", c.CacheBytes))
	}
	return errors.Join(faults...)
}

// withDefaults fills what was left zero.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	c.SessionTimeout = cmp.Or(c.SessionTimeout, d.SessionTimeout)
	c.TxnTimeout = cmp.Or(c.TxnTimeout, d.TxnTimeout)
	c.Standbys = cmp.Or(c.Standbys, d.Standbys)
	c.CacheBytes = cmp.Or(c.CacheBytes, d.CacheBytes)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
