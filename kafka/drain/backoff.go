package drain

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is the pause before the next attempt: 50 ms, doubling up to most, with jitter so that
// many partitions do not come back at once.
type backoff struct {
	most time.Duration
	next time.Duration
}

// wait returns false when ctx ended first.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(max(50*time.Millisecond, 2*b.next), b.most)
	t := time.NewTimer(b.next/2 + rand.N(b.next/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
