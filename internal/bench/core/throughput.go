package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Throughput runs every stack over the same input, as fast as it goes.
type Throughput struct {
	Config `embed:""`
	N      int `help:"Events." short:"n" default:"1000000"`
	Rounds int `help:"Rounds, the stacks in turn; the median one by events/s is shown." default:"1"`
}

// standStill is how long a stack may commit nothing before it counts as failed; the longest of the
// stacks' group sessions and transactions end in less.
const standStill = 90 * time.Second

// pollPause is how often the broker is asked how far a stack is.
const pollPause = 5 * time.Millisecond

// Run measures, and checks what each stack has left in the broker. A stack that fails does not keep the
// others from running: its Result says so. Stacks that cannot run here are left out, and Say is told.
func (t Throughput) Run(ctx context.Context) (results []Result, err error) {
	faults := []error{t.validate()}
	if t.N < 1 || t.Rounds < 1 {
		faults = append(faults, fmt.Errorf("%d events in %d rounds: at least one each", t.N, t.Rounds))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	b, err := open(ctx, t.Config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	input := b.seed + "-events"
	if err := b.create(ctx, false, input); err != nil {
		return nil, err
	}
	b.Say(fmt.Sprintf("writing %d events of %d bytes for %d users into %d partitions", t.N, eventBytes, t.Users, t.Partitions))
	want, err := b.load(ctx, input, t.N, t.Users)
	if err != nil {
		return nil, errors.Join(err, b.delete(ctx, input))
	}
	rounds := map[string][]Result{}
	for round := range t.Rounds {
		for _, s := range b.Stacks {
			b.Say(fmt.Sprintf("round %d of %d: %s", round+1, t.Rounds, s))
			r := b.once(ctx, s, input, t.N, want)
			if ctx.Err() != nil {
				return nil, errors.Join(context.Cause(ctx), b.delete(ctx, input))
			}
			rounds[s] = append(rounds[s], r)
		}
	}
	for _, s := range b.Stacks {
		results = append(results, median(rounds[s]))
	}
	compare(results)
	return results, b.delete(ctx, input)
}

// once is one stack's run.
func (b *bench) once(ctx context.Context, stack, input string, n int, want map[string]tally) Result {
	r := Result{Stack: stack, Guarantee: Guarantee(stack), ActionsExpected: actionsOf(n)}
	j, err := b.job(ctx, stack, input)
	if err == nil {
		err = errors.Join(b.race(ctx, j, n, &r), b.judge(ctx, j, n, want, &r), b.tidy(ctx, j))
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// race runs the stack until it has committed all, and fills in its figures.
func (b *bench) race(ctx context.Context, j job, n int, r *Result) error {
	p, err := b.launch(j)
	if err != nil {
		return err
	}
	first, last, err := b.watch(ctx, p, j, int64(n))
	rss := peakRSS(p.cmd.Process.Pid)
	stopped := p.stop()
	if err = cmp.Or(err, stopped); err != nil { // the first says it all
		return err
	}
	if rss == 0 {
		rss = reapedRSS(p.cmd.ProcessState)
	}
	r.fill(first, last, rss)
	return nil
}

// judge reads what the stack has left. After a failure there is nothing to judge it by.
func (b *bench) judge(ctx context.Context, j job, n int, want map[string]tally, r *Result) error {
	if !r.ran {
		return nil
	}
	v, err := b.verify(ctx, j, n, want)
	if err != nil {
		return err
	}
	r.Actions, r.WrongRows, r.Wrong = v.actions, v.wrongRows, !v.right(j.Stack, r.ActionsExpected)
	return nil
}

// sample is how far a stack was, when, and what it had used.
type sample struct {
	at        time.Time
	committed int64
	used      message
	brokerCPU time.Duration
}

// watch takes a sample at the first commit and one when all is committed.
func (b *bench) watch(ctx context.Context, p *process, j job, total int64) (first, last sample, err error) {
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	seen, moved := int64(0), time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return first, last, context.Cause(ctx)
		}
		n, err := b.committed(ctx, j)
		if err := errors.Join(err, p.alive()); err != nil {
			return first, last, err
		}
		now := time.Now()
		if n > seen {
			seen, moved = n, now
		} else if now.Sub(moved) > standStill {
			return first, last, fmt.Errorf("%s stands still at %d of %d events%s", j.Stack, n, total, p.log.said())
		}
		if n == 0 || n < total && first.committed > 0 {
			continue
		}
		s := sample{at: now, committed: n, brokerCPU: processCPU(b.broker.pid)}
		if s.used, err = p.mark(ctx); err != nil {
			return first, last, err
		}
		if first.committed == 0 {
			first = s
		}
		if n >= total {
			return first, s, nil
		}
	}
}
