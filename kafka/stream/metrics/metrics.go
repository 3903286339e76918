// Package metrics is what a processor tells a Prometheus registry of itself: records, transactions,
// rows, their cache, recovery, deadlines, dead letters, and its Kafka client. Names carry units.
package metrics

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/dwellhq/dwell/kafka/stream/table"
	"github.com/dwellhq/dwell/processors"
)

// Gauges are what is asked for when the registry is read. Fields may be called at any time.
type Gauges struct {
	// Ready says whether the processor does its work.
	Ready func() bool
	// Partitions that this instance has, those whose recovery goes on, and the offsets left of it.
	Partitions func() (assigned, recovering int, togo int64)
	// Standbys that this instance keeps, and how many offsets all of them lack.
	Standbys func() (copies int, lag int64)
	// DeadlineLagMS is for how long the earliest deadline of all rows has been over, milliseconds.
	DeadlineLagMS func() int64
	// Followed are the whole topics, and the tables of other processors, that are followed; Behind is how
	// many records of one are not in force here, below zero when that is not known.
	Followed []string
	Behind   func(topic string) int64
}

// Metrics counts what happens to a processor's transactions. It may be used by many goroutines.
type Metrics struct {
	// Commits and Aborts are transactions ended; Stalls are waits for the schema registry.
	Commits, Aborts, Stalls atomic.Int64

	reg             prometheus.Registerer // nil: none
	commitSeconds   prometheus.Histogram
	recordsEach     prometheus.Histogram
	bytesEach       prometheus.Histogram
	recoverySeconds prometheus.Histogram
}

// New registers everything under the label processor, with what the processor's own steps count; a nil
// registry gets nothing. A registry that knows the processor from an earlier run is told the new one's
// numbers.
func New(reg prometheus.Registerer, def *processors.Def, t *table.Counters, g Gauges) (*Metrics, error) {
	m := &Metrics{
		commitSeconds: histogram("dwell_commit_seconds", "Time from the end of stepping to the end of the transaction.",
			[]float64{.001, .002, .004, .008, .016, .032, .064, .128, .256, .512, 1, 2, 5}),
		recordsEach: histogram("dwell_transaction_records", "Records stepped in a committed transaction; wakes are none.",
			prometheus.ExponentialBuckets(1, 4, 9)),
		bytesEach: histogram("dwell_transaction_bytes", "Bytes of keys and values that a committed transaction wrote, uncompressed.",
			prometheus.ExponentialBuckets(256, 8, 8)),
		recoverySeconds: histogram("dwell_recovery_seconds", "Time from an assignment of partitions until all of them were recovered.",
			[]float64{.1, .2, .5, 1, 2, 5, 10, 20, 60, 120, 300, 900}),
	}
	if reg == nil {
		return m, nil
	}
	m.reg = prometheus.WrapRegistererWith(prometheus.Labels{"processor": def.Name}, reg)
	for _, c := range slices.Concat(m.counters(t), gauges(g), followed(g), counted(def, t)) {
		if err := m.register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) counters(t *table.Counters) []prometheus.Collector {
	return []prometheus.Collector{
		m.commitSeconds, m.recordsEach, m.bytesEach, m.recoverySeconds,
		counter("dwell_records_total", "Records stepped or rejected; an aborted transaction's count again.", nil, &t.Records),
		counter("dwell_transactions_total", "Transactions ended.", prometheus.Labels{"outcome": "commit"}, &m.Commits),
		counter("dwell_transactions_total", "Transactions ended.", prometheus.Labels{"outcome": "abort"}, &m.Aborts),
		counter("dwell_rows_written_total", "Rows committed to the table.", nil, &t.Rows),
		counter("dwell_row_cache_total", "Rows looked up in the cache of decoded rows.", prometheus.Labels{"outcome": "hit"}, &t.Hits),
		counter("dwell_row_cache_total", "Rows looked up in the cache of decoded rows.", prometheus.Labels{"outcome": "miss"}, &t.Misses),
		counter("dwell_dead_letters_total", "Records committed to the dead letters.", nil, &t.DeadLetters),
		counter("dwell_wakes_total", "Rows woken by time.", nil, &t.Wakes),
		counter("dwell_records_ahead_total", "Records whose time was more than a minute ahead of the clock.", nil, &t.Ahead),
		counter("dwell_recovery_rows_total", "Rows read back from the table topic.", nil, &t.Recovered),
		counter("dwell_standby_rows_total", "Rows that copies of others' partitions read from the table topic.", nil, &t.Followed),
		counter("dwell_registry_waits_total", "Times that records waited because the schema registry did not answer.", nil, &m.Stalls),
	}
}

// counted are the processor's own counters.
func counted(def *processors.Def, t *table.Counters) (all []prometheus.Collector) {
	for _, c := range def.Counters {
		for _, value := range c.Values {
			all = append(all, counter(c.Name, c.Help, prometheus.Labels{c.Label: value}, &t.Counted[len(all)]))
		}
	}
	return all
}

// followed are the gauges of what is followed, by topic.
func followed(g Gauges) (all []prometheus.Collector) {
	for _, topic := range g.Followed {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dwell_followed_lag_records", ConstLabels: prometheus.Labels{"topic": topic},
			Help: "Records of a topic that this instance follows (a whole one, or another processor's table) that are not in force here; NaN: not known.",
		}, func() float64 {
			if n := g.Behind(topic); n >= 0 {
				return float64(n)
			}
			return math.NaN()
		}))
	}
	return all
}

func gauges(g Gauges) []prometheus.Collector {
	return []prometheus.Collector{
		gauge("dwell_processor_ready", "1 while the processor does its work: partitions assigned and recovered, brokers heard of.", func() float64 {
			if g.Ready() {
				return 1
			}
			return 0
		}),
		gauge("dwell_partitions", "Partitions that this instance has.", func() float64 {
			n, _, _ := g.Partitions()
			return float64(n)
		}),
		gauge("dwell_partitions_recovering", "Partitions of this instance whose rows are still being read back.", func() float64 {
			_, n, _ := g.Partitions()
			return float64(n)
		}),
		gauge("dwell_recovery_togo_records", "Records of the table topic that recovery has still to read.", func() float64 {
			_, _, n := g.Partitions()
			return float64(n)
		}),
		gauge("dwell_standby_partitions", "Partitions of other instances that this one keeps a copy of.", func() float64 {
			n, _ := g.Standbys()
			return float64(n)
		}),
		gauge("dwell_standby_lag_records", "Records of the table topic that the copies lack.", func() float64 {
			_, n := g.Standbys()
			return float64(n)
		}),
		gauge("dwell_deadline_lag_seconds", "For how long the earliest deadline of all rows has been over.", func() float64 {
			return float64(g.DeadlineLagMS()) / 1000
		}),
	}
}

// Committed notes a committed transaction.
func (m *Metrics) Committed(records, bytes int64) {
	m.Commits.Add(1)
	m.recordsEach.Observe(float64(records))
	m.bytesEach.Observe(float64(bytes))
}

// Ended notes how long the end of a transaction took, seconds, whatever its outcome.
func (m *Metrics) Ended(seconds float64) { m.commitSeconds.Observe(seconds) }

// Recovered notes how long the partitions of an assignment took to be recovered, seconds.
func (m *Metrics) Recovered(seconds float64) { m.recoverySeconds.Observe(seconds) }

// Client is the hook that counts what a Kafka client does. Watch must be called once the client is made.
func (m *Metrics) Client() *kprom.Metrics {
	return kprom.NewMetrics("dwell_kafka", kprom.Registry(nil),
		kprom.FetchAndProduceDetail(kprom.ByTopic, kprom.Records, kprom.CompressedBytes, kprom.UncompressedBytes, kprom.ConsistentNaming))
}

// Watch shows the numbers of a client until stop. One at a time is shown: the newest.
func (m *Metrics) Watch(client *kprom.Metrics) (stop func(), err error) {
	if m.reg == nil {
		return func() {}, nil
	}
	if err := m.register(client); err != nil {
		return nil, err
	}
	return func() { m.reg.Unregister(client) }, nil
}

// Seen is a hook that notes every answer of a broker.
type Seen struct{ Note func() }

// OnBrokerRead implements kgo.HookBrokerRead.
func (s Seen) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		s.Note()
	}
}

func counter(name, help string, labels prometheus.Labels, n *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(n.Load()) })
}

func gauge(name, help string, ask func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, ask)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

// register takes the place of an equal metric.
func (m *Metrics) register(c prometheus.Collector) error {
	err := m.reg.Register(c)
	var taken prometheus.AlreadyRegisteredError
	if errors.As(err, &taken) && m.reg.Unregister(taken.ExistingCollector) {
		err = m.reg.Register(c)
	}
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}
