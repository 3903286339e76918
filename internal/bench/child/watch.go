package child

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// StandStill is how long a stack may commit nothing before it counts as failed; the longest of the
// stacks' group sessions and transactions end in less.
const StandStill = 90 * time.Second

// pollPause is how often the broker is asked how far a stack is.
const pollPause = 5 * time.Millisecond

// patience is how long to wait for the next commit; a JVM with a hundred operators that starts on a
// busy machine has longer for its first.
func patience(seen int64) time.Duration {
	if seen == 0 {
		return 2 * StandStill
	}
	return StandStill
}

// Sample is how far a stack was, when, and what it and the broker had used.
type Sample struct {
	At        time.Time
	Committed int64
	Used      Message
	BrokerCPU time.Duration
}

// Watch takes a sample at the first commit of a stack and one when it has committed total records. It
// asks committed over and over; broker is the broker's process id.
func Watch(ctx context.Context, p *Process, broker int, total int64, committed func(context.Context) (int64, error)) (first, last Sample, err error) {
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	seen, moved := int64(0), time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return first, last, context.Cause(ctx)
		}
		n, err := committed(ctx)
		if err := errors.Join(err, p.Alive()); err != nil {
			return first, last, err
		}
		now := time.Now()
		if n > seen {
			seen, moved = n, now
		} else if now.Sub(moved) > patience(seen) {
			return first, last, fmt.Errorf("%s stands still at %d of %d events%s", p.name, n, total, p.Said())
		}
		if n == 0 || n < total && first.Committed > 0 {
			continue
		}
		s := Sample{At: now, Committed: n, BrokerCPU: CPU(broker)}
		if s.Used, err = p.Mark(ctx); err != nil {
			return first, last, err
		}
		if first.Committed == 0 {
			first = s
		}
		if n >= total {
			return first, s, nil
		}
	}
}

// Committed is how many records of a topic a group has behind it. A group that is not there yet, or whose
// coordinator is still starting, has none: Watch knows when that takes too long.
func Committed(ctx context.Context, adm *kadm.Client, group, topic string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	offsets, err := adm.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) || kerr.IsRetriable(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask what %s has committed: %w", group, err)
	}
	sum := int64(0)
	offsets.Each(func(r kadm.OffsetResponse) {
		if r.Topic == topic {
			sum += max(r.At, 0)
		}
	})
	return sum, nil
}
