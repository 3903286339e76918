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
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Latency measures event to action: events come at a steady rate, and a read_committed reader in the
// measuring process takes the time until the action of every actionEvery-th is there.
type Latency struct {
	Config  `embed:""`
	Rates   []int `help:"Events per second, one run each." default:"5000,20000,50000"`
	Seconds int   `help:"Seconds per rate, after 3 that do not count." default:"15"`
}

// Delay is what one stack does at one rate. Times are in milliseconds.
type Delay struct {
	Stack     string `json:"stack"`
	Guarantee string `json:"guarantee"`
	Rate      int    `json:"rate"`
	// Actions that were measured; Missing did not come within 15 s of the last event, Doubled came more
	// than once.
	Actions int     `json:"actions"`
	Missing int     `json:"missing"`
	Doubled int     `json:"doubled"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p999_ms"`
	Max     float64 `json:"max_ms"`
	// Late actions took more than 100 ms; Stalls are the unbroken runs of them, in the order of sending.
	Late   int `json:"over_100ms"`
	Stalls int `json:"stalls"`
	// Behind is the most that the sender was behind its own schedule; times count from the schedule.
	Behind float64 `json:"sender_behind_ms"`
	Error  string  `json:"error,omitempty"`
}

// OK says that every action came, and once where that is promised.
func (d Delay) OK() bool {
	return d.Error == "" && d.Missing == 0 && (d.Doubled == 0 || d.Guarantee != "exactly once")
}

const (
	warmSeconds = 3
	stallAfter  = 100 * time.Millisecond
	lastWait    = 15 * time.Second
	// probe is the number of the events that find out whether a stack works; it asks for an action.
	probe = actionEvery * (math.MaxUint64 / actionEvery / 2)
)

// Run measures every stack at every rate, a fresh process and fresh topics each. A stack that fails does
// not keep the others from running: its Delay says so.
func (l Latency) Run(ctx context.Context) (delays []Delay, err error) {
	faults := []error{l.validate()}
	if len(l.Rates) == 0 || slices.Min(l.Rates) < 100 || l.Seconds < 1 {
		faults = append(faults, fmt.Errorf("rates %v for %d s: at least one of 100 events/s, and 1 s", l.Rates, l.Seconds))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	b, err := open(ctx, l.Config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, s := range b.Stacks {
		for _, rate := range l.Rates {
			b.Say(fmt.Sprintf("%s at %d events/s, %d s", s, rate, warmSeconds+l.Seconds))
			d := Delay{Stack: s, Guarantee: Guarantee(s), Rate: rate}
			if err := b.delay(ctx, &d, l.Seconds); err != nil {
				d.Error = err.Error()
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			delays = append(delays, d)
		}
	}
	return delays, nil
}

// delay is one stack at one rate.
func (b *bench) delay(ctx context.Context, d *Delay, seconds int) error {
	input := fmt.Sprintf("%s-%d-events", b.seed, b.runs+1)
	if err := b.create(ctx, false, input); err != nil {
		return err
	}
	j, err := b.job(ctx, d.Stack, input)
	if err != nil {
		return errors.Join(err, b.delete(ctx, input))
	}
	p, err := b.launch(j)
	if err == nil {
		err = b.pace(ctx, p, j, d, seconds)
		stopped := p.Stop()
		err = cmp.Or(err, stopped) // the first says it all
	}
	return errors.Join(err, b.tidy(ctx, j), b.delete(ctx, input))
}

// pace sends and reads side by side.
func (b *bench) pace(ctx context.Context, p *child.Process, j job, d *Delay, seconds int) error {
	rd, err := b.cfg.NewClient("bench-reader", kgo.ConsumeTopics(j.Actions), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer rd.Close()
	if err := b.works(ctx, rd, p, j); err != nil {
		return err
	}
	s := &sender{rate: d.Rate, warm: warmSeconds * d.Rate, events: (warmSeconds + seconds) * d.Rate}
	a := &arrivals{first: uint64(s.warm), want: actionsOf(s.events) - actionsOf(s.warm)}
	g, gctx := errgroup.WithContext(ctx)
	sent := make(chan struct{})
	g.Go(func() error {
		defer close(sent)
		return s.run(gctx, b, j.Input)
	})
	g.Go(func() error { return a.read(gctx, rd, p, sent) })
	if err := g.Wait(); err != nil {
		return err
	}
	a.judge(d)
	d.Behind = ms(s.behind)
	return nil
}

// works returns once an event has led to an action.
func (b *bench) works(ctx context.Context, rd *kgo.Client, p *child.Process, j job) error {
	for end := time.Now().Add(child.StandStill); ; {
		if err := b.cl.ProduceSync(ctx, &kgo.Record{Topic: j.Input, Key: []byte(userKey(0)), Value: encode(probe, 0)}).FirstErr(); err != nil {
			return fmt.Errorf("send a first event: %w", err)
		}
		fetches := poll(ctx, rd, 250*time.Millisecond)
		if err := errors.Join(ctx.Err(), p.Alive()); err != nil {
			return err
		}
		if fetches.NumRecords() > 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does nothing within %v%s", j.Stack, child.StandStill, p.Said())
		}
	}
}

func poll(ctx context.Context, rd *kgo.Client, wait time.Duration) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return rd.PollFetches(ctx)
}

// sender sends events by a schedule.
type sender struct {
	rate, warm, events int
	behind             time.Duration // the most, after the warm-up
}

// run sends what is due once a millisecond. An event says the time at which it was due, so a sender that
// cannot keep up shows in the times instead of hiding what it held back.
func (s *sender) run(ctx context.Context, b *bench, topic string) error {
	var failed errorOnce
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for i := 0; i < s.events; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		// Whole milliseconds: what is due at one is sent at it.
		elapsed := time.Since(began).Truncate(time.Millisecond)
		for due := min(int(elapsed.Seconds()*float64(s.rate)), s.events); i < due; i++ {
			at := began.Add((time.Duration(i) * time.Second / time.Duration(s.rate)).Truncate(time.Millisecond) + time.Millisecond)
			if i >= s.warm {
				s.behind = max(s.behind, time.Since(at))
			}
			key := userKey(user(uint64(i), b.Users))
			b.cl.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: encode(uint64(i), at.UnixNano())}, func(_ *kgo.Record, err error) { failed.set(err) })
		}
	}
	if err := errors.Join(b.cl.Flush(ctx), failed.get()); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}

// arrivals are the actions that came.
type arrivals struct {
	first uint64 // number of the first event that counts
	want  int
	took  map[uint64]time.Duration
	twice int
}

// read takes actions until all have come, or lastWait after the last event.
func (a *arrivals) read(ctx context.Context, rd *kgo.Client, p *child.Process, sent <-chan struct{}) error {
	a.took = make(map[uint64]time.Duration, a.want)
	var end time.Time
	for len(a.took) < a.want {
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
	}
	return nil
}

func (a *arrivals) take(value []byte, now time.Time) error {
	act, err := actionCodec{}.Decode(value)
	if err != nil || act.number < a.first || act.number == probe {
		return err
	}
	if _, again := a.took[act.number]; again {
		a.twice++
		return nil
	}
	a.took[act.number] = now.Sub(time.Unix(0, act.sentNS))
	return nil
}

// judge fills in the figures.
func (a *arrivals) judge(d *Delay) {
	d.Actions, d.Missing, d.Doubled = len(a.took), a.want-len(a.took), a.twice
	var numbers []uint64
	var times []time.Duration
	for n, t := range a.took {
		numbers, times = append(numbers, n), append(times, t)
	}
	slices.Sort(numbers)
	late := false
	for _, n := range numbers {
		was := late
		if late = a.took[n] > stallAfter; late {
			d.Late++
			if !was {
				d.Stalls++
			}
		}
	}
	slices.Sort(times)
	d.P50, d.P99, d.P999, d.Max = quantile(times, 0.5), quantile(times, 0.99), quantile(times, 0.999), quantile(times, 1)
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
	}
}
