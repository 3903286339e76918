// Package replay puts the lines of a web server log into the event log, one page event a line.
package replay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dwellhq/dwell/internal/accesslog"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Config says what to replay. Zero values but File's are filled by Run.
type Config struct {
	// File is a log in Combined Log Format, plain or gzip.
	File string
	// Name makes the event ids, together with the line numbers: the same name adds nothing twice.
	Name   string
	Tenant string
	// Again sends lines that the log already has; their ids are known, so they do not count again.
	Again bool
	// Rate is the most lines a second; zero means as fast as the brokers take them.
	Rate float64
	// Progress, if set, is called about twice a second and at the end.
	Progress func(Progress)
}

// Progress is how far a replay is. The counts are of this run, but for Lines.
type Progress struct {
	// Lines read, those of earlier runs included.
	Lines int64
	// Resumed is the number of lines that earlier runs had sent.
	Resumed int64
	// Sent events have been acknowledged by all in-sync replicas.
	Sent int64
	// Unparsed lines went to the dead letters.
	Unparsed int64
	Elapsed  time.Duration
	Done     bool
}

// markEvery is how many lines lie between two marks; a killed replay sends at most these again.
const markEvery = 5000

// Run replays the file and returns what it did. Interrupted by ctx or an error it has marked how far
// it came; the next run with the same name goes on there.
func Run(ctx context.Context, cluster kafka.Config, cfg Config) (Progress, error) {
	src, err := open(cfg.File)
	if err != nil {
		return Progress{}, err
	}
	defer src.close()
	mark, err := resume(ctx, cluster, cfg, src.digest)
	if err != nil {
		return Progress{}, err
	}
	r := &run{cfg: cfg, mark: mark, began: time.Now()}
	r.progress.Resumed = mark.Lines
	if err := r.connect(cluster); err != nil {
		return r.progress, err
	}
	p, err := r.all(ctx, src)
	return p, errors.Join(err, r.disconnect())
}

// resume finds the mark of an earlier run.
func resume(ctx context.Context, cluster kafka.Config, cfg Config, digest string) (*schemas.ReplayMark, error) {
	mark := &schemas.ReplayMark{Tenant: cfg.Tenant, Name: cfg.Name, Digest: digest}
	var fault error
	err := kafka.Snapshot(ctx, cluster, topics.Replays.Spec, func(e kafka.Entry) {
		if e.Key != schemas.Key(cfg.Tenant, cfg.Name) || e.Value == nil {
			return
		}
		found, err := topics.Replays.Codec.Decode(e.Value)
		if err != nil {
			fault = fmt.Errorf("the mark of replay %s at %s: %w", cfg.Name, e.At, err)
			return
		}
		mark = found
	})
	if err = errors.Join(err, fault); err != nil {
		return nil, err
	}
	if mark.Digest != digest {
		return nil, fmt.Errorf("replay %q was another file: give this one another --name", cfg.Name)
	}
	if cfg.Again {
		mark.Lines, mark.Unparsed, mark.Complete = 0, 0, false
	}
	return mark, nil
}

// run is one replay under way.
type run struct {
	cfg      Config
	mark     *schemas.ReplayMark
	events   *kafka.Emitter[*schemas.Event]
	dead     *kafka.Emitter[*schemas.DeadLetter]
	marks    *kafka.Emitter[*schemas.ReplayMark]
	acks     acks
	progress Progress
	began    time.Time
	told     time.Time
}

func (r *run) connect(cluster kafka.Config) (err error) {
	if r.events, err = kafka.NewEmitter(cluster, "dwell-replay", topics.Events); err != nil {
		return err
	}
	if r.dead, err = kafka.NewEmitter(cluster, "dwell-replay", topics.DeadLetters); err != nil {
		return errors.Join(err, r.events.Close())
	}
	if r.marks, err = kafka.NewEmitter(cluster, "dwell-replay", topics.Replays); err != nil {
		return errors.Join(err, r.events.Close(), r.dead.Close())
	}
	return nil
}

func (r *run) disconnect() error {
	return errors.Join(r.events.Close(), r.dead.Close(), r.marks.Close())
}

func (r *run) all(ctx context.Context, src *source) (Progress, error) {
	for src.next() {
		r.progress.Lines++
		if r.progress.Lines <= r.mark.Lines {
			continue
		}
		if err := r.pace(ctx); err != nil {
			r.progress.Lines-- // this one was not sent
			return r.progress, errors.Join(err, r.save(context.WithoutCancel(ctx), false))
		}
		if err := r.line(src.text); err != nil {
			return r.progress, fmt.Errorf("%s:%d: %w", r.cfg.File, r.progress.Lines, err)
		}
		if r.progress.Lines%markEvery == 0 {
			if err := r.save(ctx, false); err != nil {
				return r.progress, err
			}
		}
		r.tell(false)
	}
	if src.err != nil {
		return r.progress, errors.Join(fmt.Errorf("read %s after line %d: %w", r.cfg.File, r.progress.Lines, src.err), r.save(ctx, false))
	}
	err := r.save(ctx, true)
	r.tell(true)
	return r.progress, err
}

// pace holds the rate, and notices the end of ctx.
func (r *run) pace(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.cfg.Rate <= 0 {
		return nil
	}
	due := r.began.Add(time.Duration(float64(r.progress.Lines-r.progress.Resumed-1) / r.cfg.Rate * float64(time.Second)))
	wait := time.Until(due)
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// line sends one line as an event, or as a dead letter.
func (r *run) line(text string) error {
	now := time.Now()
	l, err := accesslog.Parse(text)
	if err != nil {
		r.progress.Unparsed++
		r.acks.add()
		return r.dead.Emit(r.cfg.Name, &schemas.DeadLetter{
			Topic: "file:" + r.cfg.Name, Offset: r.progress.Lines, Value: []byte(text), By: "replay", Error: err.Error(), TimeMs: now.UnixMilli(),
		}, r.acks.done)
	}
	e, err := event(r.cfg, r.progress.Lines, l, now)
	if err != nil {
		return err
	}
	r.progress.Sent++
	r.acks.add()
	return r.events.Emit(e.Key(), e, r.acks.done)
}

// save waits until all that was sent is acknowledged, then marks how far the replay came.
func (r *run) save(ctx context.Context, complete bool) error {
	if err := r.acks.wait(ctx); err != nil {
		return fmt.Errorf("replay %s, before line %d: %w; run it again to go on at line %d", r.cfg.Name, r.progress.Lines+1, err, r.mark.Lines+1)
	}
	if r.progress.Lines < r.mark.Lines || r.mark.Complete && r.progress.Lines == r.mark.Lines {
		return nil
	}
	r.mark.Lines, r.mark.Complete, r.mark.TimeMs = r.progress.Lines, complete, time.Now().UnixMilli()
	if err := r.marks.EmitSync(ctx, schemas.Key(r.cfg.Tenant, r.cfg.Name), r.mark); err != nil {
		return fmt.Errorf("mark replay %s: %w", r.cfg.Name, err)
	}
	return nil
}

func (r *run) tell(done bool) {
	if r.cfg.Progress == nil || !done && time.Since(r.told) < 500*time.Millisecond {
		return
	}
	r.told = time.Now()
	r.progress.Elapsed, r.progress.Done = time.Since(r.began), done
	r.cfg.Progress(r.progress)
}

// acks counts what is under way. add and wait are called by one goroutine, done by any.
type acks struct {
	open  atomic.Int64
	fault atomic.Pointer[error]
	wake  atomic.Pointer[chan struct{}]
}

func (a *acks) add() { a.open.Add(1) }

func (a *acks) done(err error) {
	if err != nil {
		a.fault.CompareAndSwap(nil, &err)
	}
	if a.open.Add(-1) == 0 {
		if c := a.wake.Swap(nil); c != nil {
			close(*c)
		}
	}
}

// wait returns once nothing is under way, with the first error.
func (a *acks) wait(ctx context.Context) error {
	c := make(chan struct{})
	a.wake.Store(&c)
	if a.open.Load() > 0 { // else the last done may have come before Store
		select {
		case <-c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := a.fault.Load(); err != nil {
		return *err
	}
	return nil
}
