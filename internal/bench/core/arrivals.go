package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// arrivals are the actions that came. They take 8 bytes for each that is to come, all of them at the start.
type arrivals struct {
	first uint64          // number of the first event that counts and asks for an action
	warm  int             // events that do not count
	rate  int             // events per second
	whole time.Duration   // of the run, from the first event that counts
	took  []time.Duration // by (number-first)/actionEvery; 0: has not come
	came  int
	twice int
	// Since the last line about the progress.
	late  int
	worst time.Duration
}

// newArrivals waits for the actions of the events from warm to events-1.
func newArrivals(warm, events, rate int) *arrivals {
	return &arrivals{
		first: uint64(actionsOf(warm)) * actionEvery, warm: warm, rate: rate, whole: time.Duration((events-warm)/rate) * time.Second,
		took: make([]time.Duration, actionsOf(events)-actionsOf(warm)),
	}
}

// read takes actions until all have come, or lastWait after the last event. It says once a minute how it
// goes, and when such a long run begins to count.
func (a *arrivals) read(ctx context.Context, rd *kgo.Client, p *child.Process, sent <-chan struct{}, say func(string)) error {
	var end time.Time
	counting := time.Now().Add(warmSeconds * time.Second)
	next := counting.Add(progressEvery)
	if a.whole >= progressEvery {
		next = counting
	}
	for a.came < len(a.took) {
		select {
		case <-sent:
			if end.IsZero() {
				end = time.Now().Add(lastWait)
			}
			if time.Now().After(end) {
				return nil
			}
		default:
		}
		fetches := poll(ctx, rd, 100*time.Millisecond)
		now := time.Now()
		if err := errors.Join(ctx.Err(), p.Alive()); err != nil {
			return err
		}
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("read the actions: %w", err)
		}
		for _, r := range fetches.Records() {
			if err := a.take(r.Value, now); err != nil {
				return err
			}
		}
		if !now.Before(next) {
			say(a.progress(now.Sub(counting)))
			next = next.Add(progressEvery)
		}
	}
	return nil
}

// progressEvery is the time between two lines about a run under way.
const progressEvery = time.Minute

// progress is the line after so long; it begins a new stretch.
func (a *arrivals) progress(since time.Duration) string {
	if since < progressEvery {
		return "counting"
	}
	line := fmt.Sprintf("%v of %v, %d actions", since.Truncate(time.Second), a.whole, a.came)
	if a.late > 0 {
		line += fmt.Sprintf("; since the last line %d over %v, the worst %.1f ms", a.late, stallAfter, ms(a.worst))
	}
	a.late, a.worst = 0, 0
	return line
}

// take notes an action. One of an event that nobody sent is an error.
func (a *arrivals) take(value []byte, now time.Time) error {
	act, err := actionCodec{}.Decode(value)
	if err != nil || act.number < a.first || act.number == probe {
		return err
	}
	i := (act.number - a.first) / actionEvery
	if act.number%actionEvery != 0 || i >= uint64(len(a.took)) {
		return fmt.Errorf("an action of event %d, which asks for none", act.number)
	}
	if a.took[i] != 0 {
		a.twice++
		return nil
	}
	took := max(now.Sub(time.Unix(0, act.sentNS)), 1)
	a.took[i] = took
	a.came++
	if took > stallAfter {
		a.late, a.worst = a.late+1, max(a.worst, took)
	}
	return nil
}

// judge fills in the figures; the arrivals are of no use after it. held is how long the sender held back the
// events of took.
func (a *arrivals) judge(d *Delay, held []time.Duration) {
	d.Actions, d.Missing, d.Doubled = a.came, len(a.took)-a.came, a.twice
	stalls := a.stalls(held)
	d.Stalls, d.Longest = len(stalls), longest(stalls)
	for _, s := range stalls {
		d.Late += s.Actions
	}
	slices.Sort(a.took)
	times := a.took[d.Missing:]
	d.P50, d.P99, d.P999, d.Max = quantile(times, 0.5), quantile(times, 0.99), quantile(times, 0.999), quantile(times, 1)
}

// stalls are the unbroken runs of late actions among those that came.
func (a *arrivals) stalls(held []time.Duration) []Stall {
	var stalls []Stall
	late := false
	for i, took := range a.took {
		if took == 0 {
			continue // it never came: that is counted as such
		}
		was := late
		if late = took > stallAfter; !late {
			continue
		}
		if !was {
			at := float64(a.first-uint64(a.warm)+uint64(i)*actionEvery) / float64(a.rate)
			stalls = append(stalls, Stall{At: at})
		}
		s := &stalls[len(stalls)-1]
		s.Actions++
		s.Max, s.Sender = max(s.Max, ms(took)), max(s.Sender, ms(held[i]))
	}
	return stalls
}

// listedStalls is how many a Delay tells one by one.
const listedStalls = 50

// longest are the listedStalls with the worst actions, in the order of time.
func longest(stalls []Stall) []Stall {
	if len(stalls) <= listedStalls {
		return stalls
	}
	worst := slices.Clone(stalls)
	slices.SortStableFunc(worst, func(a, b Stall) int { return cmp.Compare(b.Max, a.Max) })
	worst = slices.Clip(worst[:listedStalls])
	slices.SortFunc(worst, func(a, b Stall) int { return cmp.Compare(a.At, b.At) })
	return worst
}

// quantile of sorted times in milliseconds: the smallest that at least q of them do not exceed.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return ms(sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)])
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// PrintDelays writes the table for people.
func PrintDelays(w io.Writer, delays []Delay) {
	if len(delays) > 0 {
		fmt.Fprintln(w, eventTitle(delays[0].Event))
	}
	fmt.Fprintf(w, "%-25s %-14s %8s %8s %8s %8s %8s %8s %7s %7s %9s\n", "event → action, ms", "guarantee", "events/s", "actions", "p50", "p99", "p99.9", "max", ">100ms", "stalls", "sender")
	for _, d := range delays {
		if d.Error != "" {
			fmt.Fprintf(w, "%-25s %-14s %8d failed: %s\n", title(d.Stack), d.Guarantee, d.Rate, d.Error)
			continue
		}
		fmt.Fprintf(w, "%-25s %-14s %8d %8d %8.1f %8.1f %8.1f %8.1f %7d %7d %9.1f\n", title(d.Stack), d.Guarantee, d.Rate, d.Actions, d.P50, d.P99, d.P999, d.Max, d.Late, d.Stalls, d.Behind)
		if d.Missing > 0 || d.Doubled > 0 {
			fmt.Fprintf(w, "  %s: %d actions missing, %d doubled\n", d.Stack, d.Missing, d.Doubled)
		}
		for _, s := range d.Longest {
			fmt.Fprintf(w, "  stalled at %.1f s: %d actions, up to %.1f ms; the sender was up to %.1f ms behind\n", s.At, s.Actions, s.Max, s.Sender)
		}
		if rest := d.Stalls - len(d.Longest); rest > 0 {
			fmt.Fprintf(w, "  and %d stalls more, none of them worse\n", rest)
		}
	}
}
