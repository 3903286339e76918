package decide

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Report is what was measured.
type Report struct {
	Events    int `json:"events"`
	Campaigns int `json:"campaigns"`
	// Users are those that events are drawn from, Seen those that have an event.
	Users int `json:"users"`
	Seen  int `json:"users_seen"`
	// StepsPerCPUSecond is of the processor alone: events that one core steps in a second, from the
	// record's bytes to what goes out, rows kept decoded; the garbage collector's time is in it.
	StepsPerCPUSecond float64 `json:"steps_per_cpu_second"`
	AllocsPerStep     float64 `json:"allocs_per_step"`
	BytesPerStep      float64 `json:"allocated_bytes_per_step"`
	// Rows are the sizes of all rows at the end, TouchedRows those of users in whose rows every campaign
	// has a place.
	Rows        Sizes `json:"row_bytes"`
	TouchedRows Sizes `json:"row_bytes_all_campaigns_touched"`
	// Verdicts that the processor came to.
	Verdicts map[string]int64 `json:"verdicts"`
	// Broker that the stacks shared; empty: none ran.
	Broker string  `json:"broker,omitempty"`
	Stacks []Stack `json:"stacks,omitempty"`
}

// Sizes are quantiles in bytes.
type Sizes struct {
	P50 int `json:"p50"`
	P99 int `json:"p99"`
	Max int `json:"max"`
}

func sizesOf(sorted []int) Sizes {
	n := len(sorted)
	if n == 0 {
		return Sizes{}
	}
	return Sizes{sorted[(n-1)/2], sorted[(n-1)*99/100], sorted[n-1]}
}

// Stack is what a worker, or a peer, came to on the broker.
type Stack struct {
	Name      string `json:"name"`
	Guarantee string `json:"guarantee"`
	// Campaigns that it ran.
	Campaigns int `json:"campaigns"`
	// EventsPerSecond is 0 when one commit covered all input.
	EventsPerSecond     float64  `json:"events_per_second"`
	CPUPerMillion       float64  `json:"cpu_seconds_per_million"`
	BrokerCPUPerMillion float64  `json:"broker_cpu_seconds_per_million"`
	AllocsPerEvent      *float64 `json:"allocs_per_event"`
	RSSMB               float64  `json:"rss_mb"`
	// Measured are the events between the first commit seen and the last.
	Measured int64 `json:"events_measured"`
	// Facts and Verdicts that a read_committed reader found; of flink, Matches.
	Facts    int64            `json:"facts,omitempty"`
	Verdicts map[string]int64 `json:"verdicts,omitempty"`
	Matches  int64            `json:"matches,omitempty"`
	// Wrong says that they are not those of the processor alone, in any of the rounds.
	Wrong bool `json:"wrong"`
	// Error says why a round failed; the figures are then those of the others, if any.
	Error string `json:"error,omitempty"`
}

// OK says that the stack ran and came to what it must.
func (s Stack) OK() bool { return s.Error == "" && !s.Wrong }

func (s *Stack) fill(first, last child.Sample, rss int64) {
	s.RSSMB = float64(rss) / (1 << 20)
	s.Measured = last.Committed - first.Committed
	seconds := last.At.Sub(first.At).Seconds()
	if s.Measured == 0 || seconds <= 0 {
		return
	}
	millions := float64(s.Measured) / 1e6
	s.EventsPerSecond = float64(s.Measured) / seconds
	s.CPUPerMillion = float64(last.Used.CPUNS-first.Used.CPUNS) / 1e9 / millions
	s.BrokerCPUPerMillion = (last.BrokerCPU - first.BrokerCPU).Seconds() / millions
	if first.Used.Allocs != nil && last.Used.Allocs != nil {
		per := float64(*last.Used.Allocs-*first.Used.Allocs) / float64(s.Measured)
		s.AllocsPerEvent = &per
	}
}

// median is the round in the middle by events/s, of those that did not fail; what went wrong in any
// round is kept.
func median(rounds []Stack) Stack {
	var good []Stack
	failure, wrong := "", false
	for _, s := range rounds {
		if s.Error == "" {
			good = append(good, s)
		}
		failure, wrong = cmp.Or(failure, s.Error), wrong || s.Wrong
	}
	out := rounds[0]
	if len(good) > 0 {
		slices.SortFunc(good, func(a, b Stack) int { return cmp.Compare(a.EventsPerSecond, b.EventsPerSecond) })
		out = good[(len(good)-1)/2]
	}
	out.Error, out.Wrong = failure, wrong
	return out
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d campaigns, %d events of %d users (of %d)\n", r.Campaigns, r.Events, r.Seen, r.Users)
	fmt.Fprintf(w, "processor alone: %.0f steps per CPU second, %.1f allocations and %.0f bytes a step\n", r.StepsPerCPUSecond, r.AllocsPerStep, r.BytesPerStep)
	fmt.Fprintf(w, "rows, bytes: p50 %d, p99 %d, most %d; with all %d campaigns touched: p50 %d, p99 %d, most %d\n",
		r.Rows.P50, r.Rows.P99, r.Rows.Max, r.Campaigns, r.TouchedRows.P50, r.TouchedRows.P99, r.TouchedRows.Max)
	fmt.Fprintf(w, "verdicts: %s\n", list(r.Verdicts))
	if len(r.Stacks) == 0 {
		return
	}
	fmt.Fprintf(w, "\nbroker: %s\n%-10s %-14s %9s %12s %10s %10s %9s %8s\n", r.Broker, "stack", "guarantee", "campaigns", "events/s", "CPU s/M", "broker s/M", "allocs/e", "RSS MB")
	for _, s := range r.Stacks {
		allocs := "-"
		if s.AllocsPerEvent != nil {
			allocs = fmt.Sprintf("%.1f", *s.AllocsPerEvent)
		}
		fmt.Fprintf(w, "%-10s %-14s %9d %12.0f %10.2f %10.2f %9s %8.0f\n", s.Name, s.Guarantee, s.Campaigns, s.EventsPerSecond, s.CPUPerMillion, s.BrokerCPUPerMillion, allocs, s.RSSMB)
		switch {
		case s.Error != "":
			fmt.Fprintf(w, "  failed: %s\n", s.Error)
		case s.Wrong:
			fmt.Fprintf(w, "  WRONG: %d facts, verdicts %s\n", s.Facts, list(s.Verdicts))
		case s.Name == Flink:
			fmt.Fprintf(w, "  %d matches; %d of the campaigns are none that CEP can say, and it has no gates, duplicates, facts or rows to keep\n", s.Matches, r.Campaigns-s.Campaigns)
		default:
			fmt.Fprintf(w, "  %d facts and every verdict as the processor alone decided\n", s.Facts)
		}
	}
}

func list(counts map[string]int64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
	}
	return strings.Join(parts, ", ")
}
