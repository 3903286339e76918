package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/dwellhq/dwell/internal/bench/child"
)

// Throughput runs every stack over the same input, as fast as it goes.
type Throughput struct {
	Config `embed:""`
	N      int `help:"Events." short:"n" default:"1000000"`
	Rounds int `help:"Rounds, the stacks in turn; the median one by events/s is shown." default:"1"`
}

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
	b.Say(eventTitle(b.Event))
	b.Say(fmt.Sprintf("writing %d events of %d bytes for %d users into %d partitions", t.N, eventBytes, t.Users, t.Partitions))
	want, err := b.load(ctx, input, b.Event, t.N, t.Users)
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
	r := Result{Stack: stack, Guarantee: Guarantee(stack), Event: b.Event, EventBytes: eventBytes, ActionsExpected: actionsOf(n)}
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
	first, last, err := child.Watch(ctx, p, b.broker.Pid, int64(n), func(ctx context.Context) (int64, error) { return child.Committed(ctx, b.adm, j.group(), j.Input) })
	rss := child.PeakRSS(p.Pid())
	stopped := p.Stop()
	if err = cmp.Or(err, stopped); err != nil { // the first says it all
		return err
	}
	if rss == 0 {
		rss = child.ReapedRSS(p.Reaped())
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
