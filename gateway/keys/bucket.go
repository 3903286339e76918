package keys

import (
	"sync"
	"time"
)

// Rate is how many items a key may send.
type Rate struct {
	// PerSecond is the lasting rate; zero means no limit.
	PerSecond float64
	// Burst is how many may come at once, at least 1 where PerSecond is set.
	Burst float64
}

// bucket holds a key's tokens.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time // of tokens; the zero time means a full bucket
}

// Take spends n items and returns zero, or spends none and returns how long to wait. More items than
// a burst cost one burst: they could never pass otherwise.
func (k *Key) Take(now time.Time, n int, rate Rate) time.Duration {
	if rate.PerSecond <= 0 {
		return 0
	}
	b := k.bucket
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.at.IsZero():
		b.tokens, b.at = rate.Burst, now
	case now.After(b.at):
		b.tokens = min(rate.Burst, b.tokens+rate.PerSecond*now.Sub(b.at).Seconds())
		b.at = now
	}
	cost := min(float64(n), rate.Burst)
	if b.tokens >= cost {
		b.tokens -= cost
		return 0
	}
	wait := time.Duration((cost - b.tokens) / rate.PerSecond * float64(time.Second))
	return max(wait, time.Millisecond)
}
