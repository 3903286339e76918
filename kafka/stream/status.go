package stream

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/kafka/stream/table"
)

// Status is what a Processor says of itself.
type Status struct {
	Processor, Instance string
	Ready               bool
	// Partitions that this instance has, by number.
	Partitions []PartitionStatus
	// Whole is, per whole topic, the first offset that is not in force yet.
	Whole map[string]int64
	// Since Run began:
	Records, Rows, DeadLetters, Wakes, Commits, Aborts int64
}

// PartitionStatus is one partition of the table.
type PartitionStatus struct {
	Number int32
	// Recovered are the rows that were read from the table topic since the partition came here.
	Recovered int64
}

// Status may be called at any time.
func (p *Processor) Status() Status {
	c := p.shared.Count
	s := Status{
		Processor: p.def.Name, Instance: p.cfg.InstanceID, Ready: p.Ready(), Whole: p.views.positions(),
		Records: c.Records.Load(), Rows: c.Rows.Load(), DeadLetters: c.DeadLetters.Load(), Wakes: c.Wakes.Load(),
		Commits: p.count.commits.Load(), Aborts: p.count.aborts.Load(),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.parts {
		s.Partitions = append(s.Partitions, PartitionStatus{t.Number(), t.Recovered()})
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int { return cmp.Compare(a.Number, b.Number) })
	return s
}

// partition is one that goka set up; nil after it was closed.
func (p *Processor) partition(number int32) *table.Partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parts[number]
}

// counters are the processor's numbers besides the tables'.
type counters struct {
	commits, aborts atomic.Int64
	commitSeconds   prometheus.Histogram
}

// newCounters registers everything under the label processor. A registry that knows the processor
// from an earlier run is told the new one's numbers.
func newCounters(reg prometheus.Registerer, name string, t *table.Counters) (*counters, error) {
	c := &counters{commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "dwell_commit_seconds", Help: "Time from the end of stepping to the end of the transaction.",
		Buckets: []float64{.001, .002, .004, .008, .016, .032, .064, .128, .256, .512, 1, 2, 5},
	})}
	if reg == nil {
		return c, nil
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"processor": name}, reg)
	all := []prometheus.Collector{
		c.commitSeconds,
		counter("dwell_records_total", "Records stepped or rejected; an aborted transaction's count again.", nil, &t.Records),
		counter("dwell_transactions_total", "Transactions ended.", prometheus.Labels{"outcome": "commit"}, &c.commits),
		counter("dwell_transactions_total", "Transactions ended.", prometheus.Labels{"outcome": "abort"}, &c.aborts),
		counter("dwell_rows_written_total", "Rows committed to the table.", nil, &t.Rows),
		counter("dwell_dead_letters_total", "Records committed to the dead letters.", nil, &t.DeadLetters),
		counter("dwell_wakes_total", "Rows woken by time.", nil, &t.Wakes),
		counter("dwell_records_ahead_total", "Records whose time was more than a minute ahead of the clock.", nil, &t.Ahead),
		counter("dwell_recovery_rows_total", "Rows read back from the table topic.", nil, &t.Recovered),
	}
	for _, m := range all {
		if err := register(reg, m); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func counter(name, help string, labels prometheus.Labels, n *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(n.Load()) })
}

// register takes the place of an equal metric.
func register(reg prometheus.Registerer, m prometheus.Collector) error {
	err := reg.Register(m)
	var taken prometheus.AlreadyRegisteredError
	if errors.As(err, &taken) && reg.Unregister(taken.ExistingCollector) {
		err = reg.Register(m)
	}
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}
