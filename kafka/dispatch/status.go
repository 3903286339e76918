package dispatch

import (
	"cmp"
	"slices"
	"time"
)

// Status is a snapshot for operators.
type Status struct {
	Partitions []PartitionStatus `json:"partitions"`
	// Lanes are the destinations that are in use or did not answer.
	Lanes []LaneStatus `json:"lanes"`
	// Users that are connected somewhere.
	Users int `json:"users"`
	// Waiting actions, Open tries, Unconfirmed reports.
	Waiting     int `json:"waiting"`
	Open        int `json:"open"`
	Unconfirmed int `json:"unconfirmed"`
}

// PartitionStatus is one partition of topics.Actions that is ours.
type PartitionStatus struct {
	Partition int32 `json:"partition"`
	// Next is the offset behind the last record read; all before Finished is finished.
	Next     int64 `json:"next"`
	Finished int64 `json:"finished"`
	// Unfinished records lie between Finished and Next.
	Unfinished int `json:"unfinished"`
}

// LaneStatus is one destination.
type LaneStatus struct {
	Name string `json:"name"`
	// Ready users wait for their turn; Open tries are under way; Failures came in a row.
	Ready    int `json:"ready"`
	Open     int `json:"open"`
	Failures int `json:"failures"`
	// RetryMS is the Unix time before which it is not tried again, in milliseconds; 0: now.
	RetryMS int64 `json:"retry_ms"`
}

// Ready returns nil once it is known where the users are and partitions were assigned, else why
// not. An Engager that got no partition, because there are more of them than partitions, is ready.
func (d *Dispatcher) Ready() error {
	if why := d.phase.Load(); why != nil {
		return *why
	}
	return nil
}

// Status may be called at any time, from any goroutine.
func (d *Dispatcher) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{Users: d.presences.Len(), Waiting: d.queue.waiting(), Open: d.queue.open}
	if d.Ready() == nil {
		s.Unconfirmed = maxReports - d.reports.room()
	}
	for p, part := range d.queue.parts {
		s.Partitions = append(s.Partitions, PartitionStatus{Partition: p, Next: part.next, Finished: part.prefix(), Unfinished: part.open.Len()})
	}
	for _, l := range d.queue.turns {
		ls := LaneStatus{Name: l.id.name, Ready: l.ready.Len(), Open: l.open, Failures: l.failures}
		if l.until.After(time.UnixMilli(0)) {
			ls.RetryMS = l.until.UnixMilli()
		}
		s.Lanes = append(s.Lanes, ls)
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int { return cmp.Compare(a.Partition, b.Partition) })
	slices.SortFunc(s.Lanes, func(a, b LaneStatus) int { return cmp.Compare(a.Name, b.Name) })
	return s
}
