package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	Seconds int   `help:"Seconds per rate, after 3 that do not count; a line each minute says how it goes." default:"15"`
}

// Delay is what one stack does at one rate. Times are in milliseconds.
type Delay struct {
	Stack     string `json:"stack"`
	Guarantee string `json:"guarantee"`
	// Event is Raw or Protobuf, each of EventBytes.
	Event      string `json:"event"`
	EventBytes int    `json:"event_bytes"`
	// Rate is events per second.
	Rate int `json:"rate"`
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
	// Longest are the stalls, in the order of time; of more than listedStalls those with the worst actions.
	Longest []Stall `json:"longest_stalls,omitempty"`
	// Behind is the most that the sender was behind its own schedule; times count from the schedule.
	Behind float64 `json:"sender_behind_ms"`
	Error  string  `json:"error,omitempty"`
}

// Stall is an unbroken run of late actions.
type Stall struct {
	// At is when its first event was due, in seconds after the seconds that do not count; so seconds
	// after the line "counting".
	At float64 `json:"at_s"`
	// Actions are how many, Max how long the slowest took, in milliseconds.
	Actions int     `json:"actions"`
	Max     float64 `json:"max_ms"`
	// Sender is the most that the sender was behind with their events, in milliseconds: a stall that is as
	// long is none of the stack's.
	Sender float64 `json:"sender_behind_ms"`
}

// OK says that every action came, and once where that is promised.
func (d Delay) OK() bool {
	return d.Error == "" && d.Missing == 0 && (d.Doubled == 0 || d.Guarantee != "exactly once")
}

const (
	warmSeconds = 3
	stallAfter  = 100 * time.Millisecond
	lastWait    = 15 * time.Second
	// memoryPerEvent is what the embedded broker needs for an event and its row, bytes.
	memoryPerEvent = 600
	// manyMB are worth a word before.
	manyMB = 2000
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
	if mb := l.memory() >> 20; b.Broker == EmbeddedBroker && mb > manyMB {
		b.Say(fmt.Sprintf("the embedded broker keeps a run's records in memory, about %d MB in the end; long runs want --broker real", mb))
	}
	for _, s := range b.Stacks {
		for _, rate := range l.Rates {
			b.Say(fmt.Sprintf("%s at %d events/s, %d s", s, rate, warmSeconds+l.Seconds))
			d := b.newDelay(s, rate)
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

// memory is about what the embedded broker needs in the end of the longest run, bytes.
func (l Latency) memory() int {
	return (warmSeconds + l.Seconds) * slices.Max(l.Rates) * memoryPerEvent
}

func (b *bench) newDelay(stack string, rate int) Delay {
	return Delay{Stack: stack, Guarantee: Guarantee(stack), Event: b.Event, EventBytes: eventBytes, Rate: rate}
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
	a := newArrivals(s.warm, s.events, d.Rate)
	s.first, s.held = int(a.first), make([]time.Duration, len(a.took))
	say := func(line string) { b.Say(fmt.Sprintf("%s at %d events/s: %s", j.Stack, d.Rate, line)) }
	g, gctx := errgroup.WithContext(ctx)
	sent := make(chan struct{})
	g.Go(func() error {
		defer close(sent)
		return s.run(gctx, b, j.Input)
	})
	g.Go(func() error { return a.read(gctx, rd, p, sent, say) })
	if err := g.Wait(); err != nil {
		return err
	}
	a.judge(d, s.held)
	d.Behind = ms(s.behind)
	return nil
}

// works returns once an event has led to an action.
func (b *bench) works(ctx context.Context, rd *kgo.Client, p *child.Process, j job) error {
	for end := time.Now().Add(child.StandStill); ; {
		if err := b.cl.ProduceSync(ctx, &kgo.Record{Topic: j.Input, Key: []byte(userKey(0)), Value: encode(b.Event, probe, 0, 0)}).FirstErr(); err != nil {
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

	first int             // the first event after it that asks for an action
	held  []time.Duration // by (number-first)/actionEvery: how much behind that event was
}

// note takes down how much behind an event that counts was.
func (s *sender) note(i int, behind time.Duration) {
	s.behind = max(s.behind, behind)
	if i%actionEvery == 0 {
		s.held[(i-s.first)/actionEvery] = behind
	}
}

// due is the end of the millisecond in which the event comes.
func (s *sender) due(began time.Time, i int) time.Time {
	return began.Add((time.Duration(i) * time.Second / time.Duration(s.rate)).Truncate(time.Millisecond) + time.Millisecond)
}

// wholeMS is the time without what is below milliseconds since 1970. It keeps the monotonic clock, which
// Time.Truncate drops.
func wholeMS(t time.Time) time.Time {
	return t.Add(-time.Duration(t.UnixNano() % int64(time.Millisecond)))
}

// run sends what is due once a millisecond. An event says the time at which it was due, so a sender that
// cannot keep up shows in the times instead of hiding what it held back. The times are whole milliseconds.
func (s *sender) run(ctx context.Context, b *bench, topic string) error {
	var failed child.FirstError
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := wholeMS(time.Now())
	for i := 0; i < s.events && failed.Get() == nil; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		// Whole milliseconds: what is due at one is sent at it.
		elapsed := time.Since(began).Truncate(time.Millisecond)
		for due := min(int(elapsed.Seconds()*float64(s.rate)), s.events); i < due; i++ {
			at := s.due(began, i)
			if i >= s.warm {
				s.note(i, time.Since(at))
			}
			u := user(uint64(i), b.Users)
			value := encode(b.Event, uint64(i), u, at.UnixNano())
			b.cl.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(userKey(u)), Value: value}, failed.Produced)
		}
	}
	if err := errors.Join(b.cl.Flush(ctx), failed.Get()); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}
