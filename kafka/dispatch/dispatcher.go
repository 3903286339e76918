package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks/channels"
	"github.com/dwellhq/dwell/topics"
)

// Dispatcher is one Engager. It runs once.
type Dispatcher struct {
	cfg       Config
	deps      Deps
	presences *channels.Presences
	push      *channels.Push
	channels  []channels.Channel
	metrics   metrics
	reports   *reports
	phase     atomic.Pointer[error] // nil once ready: why not

	wake  chan struct{} // one token: the pump has something to look at
	space chan struct{} // one token: the poller may have space again
	tries sync.WaitGroup

	mu    sync.Mutex // guards queue
	queue *queue
}

// The reasons why an Engager is not ready.
var (
	errNotStarted = errors.New("not started")
	errPresences  = errors.New("reading where the users are")
	errJoining    = errors.New("joining the group")
	errStopping   = errors.New("stopping")
)

// lookInterval is the longest sleep of the pump: the wall clock may jump.
const lookInterval = time.Second

// New checks the configuration and reads the secret; nothing is reached before Run.
func New(cfg Config, deps Deps) (*Dispatcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("engager configuration: %w", err)
	}
	nodes, err := channels.ParseNodes(cfg.Push.Nodes)
	if err != nil {
		return nil, fmt.Errorf("engager configuration: %w", err)
	}
	d := &Dispatcher{cfg: cfg, deps: deps.withDefaults(), presences: channels.NewPresences(nodes), wake: make(chan struct{}, 1), space: make(chan struct{}, 1)}
	if d.push, err = channels.NewPush(cfg.Push, d.presences, cfg.PerNode); err != nil {
		return nil, err
	}
	d.channels = append([]channels.Channel{d.push}, deps.Channels...)
	d.queue = newQueue(limits{waiting: cfg.MaxWaiting, open: cfg.Concurrency, perLane: cfg.PerNode, maxWait: cfg.MaxWait}, d.channels...)
	d.phase.Store(&errNotStarted)
	d.metrics = newMetrics(deps.Registerer, d)
	return d, nil
}

// Run delivers until ctx ends. Then it takes no more, waits for the calls under way and for the
// report of each, commits, leaves the group and returns nil. Broker outages are waited out.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.phase.Store(&errPresences)
	defer d.phase.Store(&errStopping)
	err := kafka.Ensure(ctx, d.cfg.Kafka, topics.Actions.Spec, topics.Deliveries.Spec, topics.Presences.Spec, topics.DeadLetters.Spec)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("engager: %w", err)
	}
	if d.reports, err = newReports(d.cfg.Kafka, d.deps.Log, d.reported); err != nil {
		return fmt.Errorf("engager: %w", err)
	}
	g, run := errgroup.WithContext(ctx)
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	follower := kafka.NewFollower(d.cfg.Kafka, topics.Presences.Spec, d.present)
	g.Go(func() error { return follower.Run(run) })
	var m *member
	select {
	case <-follower.Ready():
		d.phase.Store(&errJoining)
		if m, err = d.join(); err == nil {
			g.Go(func() error { m.consume(run); return nil })
			g.Go(func() error { m.commitOften(run); return nil })
			g.Go(func() error { d.pump(run, calls); return nil })
			break
		}
		g.Go(func() error { return err })
	case <-run.Done():
	}
	<-run.Done()
	d.phase.Store(&errStopping)
	return errors.Join(g.Wait(), d.stop(m, cancel))
}

// stop ends what Run began, in order: calls, reports, commit, membership.
func (d *Dispatcher) stop(m *member, cancelCalls func()) error {
	late := time.AfterFunc(d.cfg.StopTimeout, cancelCalls)
	d.tries.Wait()
	late.Stop()
	err := d.reports.close()
	if m != nil {
		m.leave()
	}
	d.push.Close()
	if err != nil {
		return fmt.Errorf("engager: %w", err)
	}
	return nil
}

// pump starts calls and gives up what can no longer be delivered.
func (d *Dispatcher) pump(ctx, calls context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		timer.Reset(d.look(calls))
	}
}

// look does what is due and returns how long there is nothing to do.
func (d *Dispatcher) look(calls context.Context) time.Duration {
	now := d.deps.Now()
	d.reports.retry(now)
	room := d.reports.room()
	if room == 0 {
		return lookInterval // a report that is confirmed wakes the pump
	}
	d.mu.Lock()
	late := d.queue.expired(now, room)
	many := d.queue.overload(max(0, room-len(late)))
	begun := d.queue.take(now)
	next, some := d.queue.next()
	d.mu.Unlock()
	for _, t := range late {
		d.end(t, "expired", nil)
	}
	for _, t := range many {
		d.end(t, "failed", fmt.Errorf("overloaded: more than %d actions wait", d.cfg.MaxWaiting))
	}
	for _, t := range begun {
		d.tries.Go(func() { d.try(calls, t) })
	}
	signal(d.space)
	if !some {
		return lookInterval
	}
	return min(max(next.Sub(now), time.Millisecond), lookInterval)
}

// try makes one call.
func (d *Dispatcher) try(ctx context.Context, t *task) {
	r, err := d.channels[t.line.id.route].Deliver(ctx, t.action)
	if ctx.Err() != nil && err != nil {
		return // we stop: whoever has the partition next tries again
	}
	now := d.deps.Now()
	d.metrics.tries.WithLabelValues(string(r.Outcome)).Inc()
	d.mu.Lock()
	done := d.queue.settle(t, r.Outcome, now)
	d.mu.Unlock()
	switch {
	case done && r.Outcome == channels.Taken:
		d.metrics.pushed(t.action, r, now)
		d.end(t, "pushed", nil)
	case done:
		d.end(t, "failed", err)
	default:
		level := slog.LevelWarn
		if r.Outcome == channels.Absent {
			level = slog.LevelDebug // people come and go
		}
		d.deps.Log.Log(ctx, level, "deliver: will try again", "action", t.action.Id, "campaign", t.action.Campaign, "outcome", r.Outcome, "err", err)
	}
	signal(d.wake)
}

// end reports what became of a task.
func (d *Dispatcher) end(t *task, status string, cause error) {
	a := t.action
	if cause != nil {
		d.deps.Log.Warn("deliver: given up", "action", a.Id, "campaign", a.Campaign, "err", cause)
	}
	d.metrics.pushes.WithLabelValues(a.Channel, status).Inc()
	d.reports.send(report{task: t, key: schemas.Key(a.Tenant, a.User), delivery: delivery(a, status, cause, d.deps.Now())})
}

// reported runs once the report of t is in the log.
func (d *Dispatcher) reported(t *task) {
	d.mu.Lock()
	d.queue.finish(t)
	d.mu.Unlock()
	signal(d.wake)
}

// present applies one record of the presence topic.
func (d *Dispatcher) present(e kafka.Entry) {
	if e.Value == nil {
		d.presences.Delete(e.Key)
	} else if err := d.here(e); err != nil {
		d.deps.Log.Warn("presence refused", "topic", e.At.Topic, "partition", e.At.Partition, "offset", e.At.Offset, "err", err)
	}
	d.mu.Lock()
	d.queue.moved(e.Key)
	d.mu.Unlock()
	signal(d.wake)
}

func (d *Dispatcher) here(e kafka.Entry) error {
	rec, err := topics.Presences.Codec.Decode(e.Value)
	if err != nil {
		d.presences.Delete(e.Key)
		return fmt.Errorf("presence of %s: %w", e.Key, err)
	}
	return d.presences.Set(e.Key, rec)
}

// signal leaves a token for whoever waits on c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
