package push

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dwellhq/dwell/kafka"
)

// Revoke ends every connection that came in by the key.
func (h *Hub) Revoke(key [32]byte) {
	for _, c := range h.all() {
		if c.via.Key == key {
			c.end(codePolicy, "the key was revoked", 0)
		}
	}
}

func (h *Hub) all() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*conn, 0, h.count)
	for _, slot := range h.wheel {
		for c := range slot {
			all = append(all, c)
		}
	}
	return all
}

// Connections is how many are open.
func (h *Hub) Connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// Told takes a record of topics.Presences, in order: what this node or another said of its users.
func (h *Hub) Told(e kafka.Entry) { h.presence.told(e) }

// Run asks connections whether they live, ends those whose token expired, forgets old actions and
// tells again what could not be told, until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	tick := time.NewTicker(max(h.cfg.PingEvery/beats, time.Millisecond))
	defer tick.Stop()
	for beat := 0; ; beat++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := h.now()
		h.mu.Lock()
		part := make([]*conn, 0, len(h.wheel[beat%beats]))
		for c := range h.wheel[beat%beats] {
			part = append(part, c)
		}
		h.mu.Unlock()
		for _, c := range part {
			if e := c.via.Expires; !e.IsZero() && !now.Before(e) {
				c.end(codePolicy, "the token expired", 0)
				continue
			}
			c.ping()
		}
		h.memory.sweep(now)
		h.presence.again()
	}
}

// Drain takes no more connections and says goodbye to all: spread, so that the other nodes are not
// stormed, over at most the given time. It returns when all have ended; when ctx ends before, the
// rest is cut off and an error says how many.
func (h *Hub) Drain(ctx context.Context, spread time.Duration) error {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	all := h.all()
	each := min(time.Millisecond, spread/time.Duration(max(1, len(all))))
	for i, c := range all {
		// Sleeping a hundred times a second is fine enough.
		if wait := each * 10; i%10 == 9 && !pause(ctx, wait) {
			break
		}
		c.end(codeGoingAway, "draining", retryAfterDrain())
	}
	done := make(chan struct{})
	go func() { h.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	rest := h.all()
	for _, c := range rest {
		c.cut()
	}
	<-done // a closed socket ends its reader and its writer at once
	if len(rest) == 0 {
		return nil
	}
	return fmt.Errorf("drain: %d connections did not close in time: %w", len(rest), context.Cause(ctx))
}

// retryAfterDrain spreads the browsers' return.
func retryAfterDrain() time.Duration { return 100*time.Millisecond + rand.N(4*time.Second) }

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
