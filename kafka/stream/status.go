package stream

import (
	"cmp"
	"slices"

	"github.com/dwellhq/dwell/kafka/stream/behind"
	"github.com/dwellhq/dwell/kafka/stream/metrics"
	"github.com/dwellhq/dwell/kafka/stream/standby"
	"github.com/dwellhq/dwell/kafka/stream/table"
)

// Status is what a Processor says of itself.
type Status struct {
	Processor, Instance string
	Ready               bool
	// Partitions that this instance has, by number.
	Partitions []PartitionStatus
	// Standbys are the copies that this instance keeps of others' partitions, by number.
	Standbys []standby.Status
	// Whole is, per whole topic, the first offset that is not in force yet.
	Whole map[string]int64
	// Followed says how far whole topics, and the tables that are joined or looked up, are behind here.
	Followed []behind.Topic
	// Since Run began:
	Records, Rows, DeadLetters, Wakes, Commits, Aborts int64
}

// PartitionStatus is one partition of the table.
type PartitionStatus struct {
	Number int32
	// Recovered are the rows that were read from the table topic since the partition came here; what
	// this instance had read as a standby does not count.
	Recovered int64
	// ToGo are offsets of the table topic that are still to be read, an upper bound of the rows.
	ToGo int64
	// RecoveredPerSecond is the speed of the recovery, rows a second.
	RecoveredPerSecond float64
	// Running says that recovery is over.
	Running bool
	// DeadlineLagMS is for how many milliseconds the earliest deadline of a row has been over: 0 when
	// none is late, or none is kept.
	DeadlineLagMS int64
}

// Status may be called at any time.
func (p *Processor) Status() Status {
	c := p.shared.Count
	s := Status{
		Processor: p.def.Name, Instance: p.cfg.InstanceID, Ready: p.Ready(), Whole: p.views.positions(), Followed: p.behind.Topics(),
		Records: c.Records.Load(), Rows: c.Rows.Load(), DeadLetters: c.DeadLetters.Load(), Wakes: c.Wakes.Load(),
		Commits: p.count.Commits.Load(), Aborts: p.count.Aborts.Load(),
	}
	if set := p.standby.Load(); set != nil {
		s.Standbys = set.Status()
	}
	now := p.shared.Now().UnixMilli()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.parts {
		g := t.Progress()
		s.Partitions = append(s.Partitions, PartitionStatus{t.Number(), g.Rows, g.ToGo, g.RowsPerSecond, g.Done, t.Overdue(now)})
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

// gauges are what the metrics ask for.
func (p *Processor) gauges() metrics.Gauges {
	var followed []string
	for _, s := range p.follows() {
		followed = append(followed, s.Topic)
	}
	return metrics.Gauges{
		Ready: p.Ready, Followed: followed, Behind: p.behind.Lag,
		Partitions: func() (assigned, recovering int, togo int64) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, t := range p.parts {
				g := t.Progress()
				togo += g.ToGo
				if !g.Done {
					recovering++
				}
			}
			return len(p.parts), recovering, togo
		},
		Standbys: func() (copies int, lag int64) {
			set := p.standby.Load()
			if set == nil {
				return 0, 0
			}
			all := set.Status()
			for _, c := range all {
				lag += max(0, c.Lag)
			}
			return len(all), lag
		},
		DeadlineLagMS: func() (most int64) {
			now := p.shared.Now().UnixMilli()
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, t := range p.parts {
				most = max(most, t.Overdue(now))
			}
			return most
		},
	}
}
