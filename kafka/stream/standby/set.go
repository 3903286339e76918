// Package standby keeps copies of table partitions that other workers own: committed records of the
// table topic go in, and a partition whose local store lacks the tail at most comes out when the group
// hands it to this worker. It also drops local stores that nobody has needed for a while.
package standby

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/placement"
	"github.com/dwellhq/dwell/kafka/stream/table"
)

// Config of a Set. Every field but Dir must be set.
type Config struct {
	Kafka    kafka.Config
	ClientID string
	// Topic is the table's.
	Topic string
	// Dir holds the local stores, each in a folder named by its partition; empty: in memory.
	Dir string
	// Keep is how long a store that is not needed stays.
	Keep time.Duration
	// Ends tells where partitions begin and end.
	Ends *broker.Admin
	// Open makes a partition over its local store. A store that cannot be of this table is emptied.
	Open func(ctx context.Context, number int32) (*table.Partition, error)
	Log  *slog.Logger
}

// Set is the copies that one worker keeps for one processor. All methods may be called from many
// goroutines.
type Set struct {
	Config

	mu      sync.Mutex
	knows   bool // what the group wants: Assign was called
	owned   map[int32]bool
	wanted  map[int32]bool
	copies  map[int32]*follower
	unused  map[int32]time.Time // stores on disk, since when nobody needs them
	changed chan struct{}       // gets a token when wanted changed
}

// follower is one partition that is not ours. Its mutex comes after the set's.
type follower struct {
	number int32

	mu    sync.Mutex
	part  *table.Partition // nil: handed over, closed, or not open yet
	taken bool
	rows  int64 // that were read since it was opened
	end   int64 // of the topic's partition, as far as known
	moved time.Time
}

// New makes an empty set.
func New(cfg Config) *Set {
	return &Set{
		Config: cfg, owned: map[int32]bool{}, wanted: map[int32]bool{}, copies: map[int32]*follower{}, unused: map[int32]time.Time{},
		changed: make(chan struct{}, 1),
	}
}

// Assign says what the group gave this worker: partitions to own, and others to stand by for. It does
// not block.
func (s *Set) Assign(own, stand []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knows, s.owned, s.wanted = true, set(own), set(stand)
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func set(numbers []int32) map[int32]bool {
	m := map[int32]bool{}
	for _, n := range numbers {
		m[n] = true
	}
	return m
}

// Take hands a copy over; nil: there is none. From then on it is the caller's to close. A copy that is
// being opened is waited for.
func (s *Set) Take(number int32) *table.Partition {
	s.mu.Lock()
	f := s.copies[number]
	delete(s.copies, number)
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.part
	f.part, f.taken = nil, true
	return p
}

// Claims are what this worker has of the partitions that it does not own.
func (s *Set) Claims() map[int32]placement.Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := map[int32]placement.Claim{}
	for _, n := range s.stored() {
		claims[n] = placement.Stale
	}
	for n := range s.copies {
		claims[n] = placement.Copy
	}
	return claims
}

// Status is one copy.
type Status struct {
	Number int32
	// Rows that were read since the copy was opened.
	Rows int64
	// Next is the first offset of the topic that the copy does not have; -1: not open yet.
	Next int64
	// Lag is how many offsets of the topic it does not have, as far as it knows; -1: not open yet.
	Lag int64
}

// Status of all copies, by number. A copy that is being opened or written is waited for.
func (s *Set) Status() []Status {
	s.mu.Lock()
	var all []*follower
	for _, f := range s.copies {
		all = append(all, f)
	}
	s.mu.Unlock()
	var out []Status
	for _, f := range all {
		if !f.mu.TryLock() { // it is being opened, or written right now
			out = append(out, Status{f.number, 0, -1, -1})
			continue
		}
		st := Status{f.number, f.rows, -1, -1}
		if f.part != nil {
			st.Next = f.part.Offset() + 1
			st.Lag = max(0, f.end-st.Next)
		}
		f.mu.Unlock()
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// settle makes the copies what is wanted, and returns them by number. Those that the group has given
// to this worker wait to be taken.
func (s *Set) settle() (now []*follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.wanted {
		if s.copies[n] == nil && !s.owned[n] {
			s.copies[n] = &follower{number: n}
		}
	}
	for n, f := range s.copies {
		if !s.wanted[n] && !s.owned[n] {
			delete(s.copies, n)
			s.close(f)
			continue
		}
		now = append(now, f)
	}
	slices.SortFunc(now, func(a, b *follower) int { return cmp.Compare(a.number, b.number) })
	return now
}

// close frees a copy's store.
func (s *Set) close(f *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.part
	f.part, f.taken = nil, true
	if p == nil {
		return
	}
	if err := p.Close(); err != nil {
		s.Log.Warn("close a standby", "topic", s.Topic, "partition", f.number, "err", err)
	}
}

func (s *Set) closeAll() {
	s.mu.Lock()
	all := s.copies
	s.copies = map[int32]*follower{}
	s.mu.Unlock()
	for _, f := range all {
		s.close(f)
	}
}
