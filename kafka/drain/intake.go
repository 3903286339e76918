package drain

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// intake holds fetched records between the poll and the partition's worker. It asks for a pause of
// the partition above its limit, and for more below half of it, so memory stays bounded while a
// sink is away: by the limit and one poll per partition.
type intake struct {
	limit  int
	pause  func(bool) // called under mu, so that a pause cannot overtake the resume after it
	filled chan struct{}

	mu     sync.Mutex
	queue  []*kgo.Record
	bytes  int
	paused bool
	closed bool
}

func newIntake(limit int, pause func(bool)) *intake {
	return &intake{limit: limit, pause: pause, filled: make(chan struct{}, 1)}
}

// push never blocks. What comes after close is dropped.
func (i *intake) push(rs []*kgo.Record) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return
	}
	for _, r := range rs {
		i.bytes += weight(r)
	}
	i.queue = append(i.queue, rs...)
	if i.bytes > i.limit && !i.paused {
		i.paused = true
		i.pause(true)
	}
	select {
	case i.filled <- struct{}{}:
	default:
	}
}

// pop returns nil when nothing is there; filled then tells of the next push.
func (i *intake) pop() *kgo.Record {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.queue) == 0 {
		return nil
	}
	r := i.queue[0]
	i.queue[0] = nil
	i.queue = i.queue[1:]
	i.bytes -= weight(r)
	if i.paused && i.bytes <= i.limit/2 {
		i.paused = false
		i.pause(false)
	}
	return r
}

// close drops what is queued; with stop the partition is fetched no more.
func (i *intake) close(stop bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed, i.queue, i.bytes = true, nil, 0
	if stop && !i.paused {
		i.paused = true
		i.pause(true)
	}
}

// weight is roughly what a record takes in memory, bytes.
func weight(r *kgo.Record) int { return len(r.Key) + len(r.Value) + 200 }
