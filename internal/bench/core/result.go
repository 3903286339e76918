package core

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Result is a stack's throughput.
type Result struct {
	Stack     string `json:"stack"`
	Guarantee string `json:"guarantee"`
	// Event is Raw or Protobuf, each of EventBytes.
	Event      string `json:"event"`
	EventBytes int    `json:"event_bytes"`
	// EventsPerSecond is 0 when the input was too small: one commit covered it.
	EventsPerSecond float64 `json:"events_per_second"`
	// CPUPerMillion is CPU seconds of the stack's process for a million events.
	CPUPerMillion float64 `json:"cpu_seconds_per_million"`
	// AllocsPerEvent is nil for a stack that is not in Go.
	AllocsPerEvent *float64 `json:"allocs_per_event"`
	// RSSMB is the most memory that the process had resident, MiB.
	RSSMB float64 `json:"rss_mb"`

	// BrokerCPUPerMillion is that of the broker's process, where it is one of ours.
	BrokerCPUPerMillion float64 `json:"broker_cpu_seconds_per_million"`
	// Ratio is events/s by those of Goka, or of the first stack when Goka was not measured.
	Ratio float64 `json:"ratio"`
	// Measured are the events between the first commit seen and the last.
	Measured int64 `json:"events_measured"`
	// Actions that a read_committed reader found, and how many there must be.
	Actions         int `json:"actions"`
	ActionsExpected int `json:"actions_expected"`
	// WrongRows are users whose row does not say what the input says.
	WrongRows int `json:"wrong_rows"`
	// Wrong says that the stack broke its guarantee, in any of the rounds.
	Wrong bool `json:"wrong"`
	// Error says why a round failed; the figures are then those of the others, if any.
	Error string `json:"error,omitempty"`

	ran bool // to the end: there are figures, and an output to check
}

// OK says that the stack ran and kept its guarantee.
func (r Result) OK() bool { return r.Error == "" && !r.Wrong }

func (r *Result) fill(first, last child.Sample, rss int64) {
	r.ran = true
	r.RSSMB = float64(rss) / (1 << 20)
	r.Measured = last.Committed - first.Committed
	seconds := last.At.Sub(first.At).Seconds()
	if r.Measured == 0 || seconds <= 0 {
		return
	}
	millions := float64(r.Measured) / 1e6
	r.EventsPerSecond = float64(r.Measured) / seconds
	r.CPUPerMillion = float64(last.Used.CPUNS-first.Used.CPUNS) / 1e9 / millions
	r.BrokerCPUPerMillion = (last.BrokerCPU - first.BrokerCPU).Seconds() / millions
	if first.Used.Allocs != nil && last.Used.Allocs != nil {
		per := float64(*last.Used.Allocs-*first.Used.Allocs) / float64(r.Measured)
		r.AllocsPerEvent = &per
	}
}

// median is the round in the middle by events/s, of those that did not fail. What went wrong in any
// round is kept.
func median(rounds []Result) Result {
	var good []Result
	failure, wrong := "", false
	for _, r := range rounds {
		if r.Error == "" {
			good = append(good, r)
		}
		failure, wrong = cmp.Or(failure, r.Error), wrong || r.Wrong
	}
	out := rounds[0]
	if len(good) > 0 {
		slices.SortFunc(good, func(a, b Result) int { return cmp.Compare(a.EventsPerSecond, b.EventsPerSecond) })
		out = good[(len(good)-1)/2]
	}
	out.Error, out.Wrong = failure, wrong
	return out
}

// compare fills in the ratios: to stock goka when it ran, else to the first stack.
func compare(results []Result) {
	base := 0.0
	for _, r := range results {
		if r.EventsPerSecond > 0 && (r.Stack == Goka || base == 0) {
			base = r.EventsPerSecond
		}
	}
	for i := range results {
		if base > 0 {
			results[i].Ratio = results[i].EventsPerSecond / base
		}
	}
}

// Print writes the table for people.
func Print(w io.Writer, results []Result) {
	if len(results) > 0 {
		fmt.Fprintln(w, eventTitle(results[0].Event))
	}
	fmt.Fprintf(w, "%-25s %-14s %12s %6s %10s %10s %8s %8s %18s\n", "stack", "guarantee", "events/s", "ratio", "CPU s/M", "broker s/M", "allocs/e", "RSS MB", "actions")
	for _, r := range results {
		if !r.ran {
			fmt.Fprintf(w, "%-25s %-14s failed: %s\n", title(r.Stack), r.Guarantee, r.Error)
			continue
		}
		allocs, speed := "-", "too few events"
		if r.AllocsPerEvent != nil {
			allocs = fmt.Sprintf("%.1f", *r.AllocsPerEvent)
		}
		if r.EventsPerSecond > 0 {
			speed = fmt.Sprintf("%.0f", r.EventsPerSecond)
		}
		fmt.Fprintf(w, "%-25s %-14s %12s %6.2f %10.2f %10.2f %8s %8.0f %18s\n", title(r.Stack), r.Guarantee, speed, r.Ratio, r.CPUPerMillion,
			r.BrokerCPUPerMillion, allocs, r.RSSMB, fmt.Sprintf("%d of %d", r.Actions, r.ActionsExpected))
		if r.WrongRows > 0 || r.Wrong || r.Error != "" {
			fmt.Fprintf(w, "  %s: %d wrong rows, guarantee broken: %v %s\n", r.Stack, r.WrongRows, r.Wrong, r.Error)
		}
	}
}
