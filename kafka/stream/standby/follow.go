package standby

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/recovery"
)

const (
	// pollTime is how long one poll waits; changes of the assignment wait for it.
	pollTime = 200 * time.Millisecond
	// gather is how long the brokers may collect records for a fetch: few large fetches cost less than
	// many small ones, and the lag of a copy may be as long.
	gather      = 250 * time.Millisecond
	gatherBytes = 256 << 10
	// fetchBytes is the most that one fetch brings from a partition.
	fetchBytes = 4 << 20
	// quiet is how long a copy behind the end may get nothing before we look for a hole.
	quiet = time.Second
	// again is how long a copy that failed waits.
	again = time.Second
	// lookEvery is how often we ask where the topic ends, to know the lag; lookTime bounds it.
	lookEvery, lookTime = 2 * time.Second, time.Second
)

// Run follows what Assign said until ctx ends, then frees the copies and returns nil. What fails is
// logged and tried again: a worker must not end because a copy for others has a fault.
func (s *Set) Run(ctx context.Context) error {
	defer s.closeAll()
	var cl *kgo.Client
	var followed []*follower // by cl
	closeClient := func() {
		if cl != nil {
			cl.Close()
		}
		cl = nil
	}
	defer closeClient()
	sweep, look := time.Now().Add(sweepEvery), time.Now()
	for ctx.Err() == nil {
		copies := s.settle()
		if s.openAll(ctx, copies) || !slices.Equal(copies, followed) {
			closeClient()
		}
		if now := time.Now(); now.After(sweep) {
			sweep = now.Add(sweepEvery)
			s.Sweep(now)
		}
		if cl == nil {
			var err error
			followed = copies
			if cl, err = s.client(copies); err != nil {
				s.Log.Warn("standby: no client", "topic", s.Topic, "err", err)
			}
		}
		if cl == nil {
			s.rest(ctx)
			continue
		}
		if now := time.Now(); now.After(look) {
			look = now.Add(lookEvery)
			s.look(ctx, copies)
		}
		s.poll(ctx, cl, copies)
	}
	return nil
}

// look asks where the topic ends.
func (s *Set) look(ctx context.Context, copies []*follower) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	spans, err := s.Ends.Decided(ctx, s.Topic)
	if err != nil {
		s.Log.Debug("standby: the lag is not known", "topic", s.Topic, "err", err)
		return
	}
	for _, f := range copies {
		f.mu.Lock()
		f.end = max(f.end, spans[s.Topic][f.number].End)
		f.mu.Unlock()
	}
}

// rest waits for a change, or for what failed to be tried again.
func (s *Set) rest(ctx context.Context) {
	t := time.NewTimer(again)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.changed:
	case <-t.C:
	}
}

// openAll opens what is not open, and says whether anything was.
func (s *Set) openAll(ctx context.Context, copies []*follower) (opened bool) {
	for _, f := range copies {
		opened = s.tryOpen(ctx, f) || opened
	}
	return opened
}

func (s *Set) tryOpen(ctx context.Context, f *follower) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.part != nil || f.taken || time.Since(f.moved) < again || ctx.Err() != nil {
		return false
	}
	f.moved = time.Now()
	if err := s.open(ctx, f); err != nil {
		s.Log.Warn("standby: cannot open, trying again", "topic", s.Topic, "partition", f.number, "err", err)
		return false
	}
	return true
}

// open opens a copy and reads all of it: a store that is damaged is made anew, not trusted.
func (s *Set) open(ctx context.Context, f *follower) error {
	span, err := s.Ends.Span(ctx, s.Topic, f.number)
	if err != nil {
		return err
	}
	part, err := s.Open(ctx, f.number)
	if err != nil {
		return err
	}
	if damage := part.Verify(); damage != nil {
		s.Log.Warn("standby: the local store is damaged, reading the table whole", "topic", s.Topic, "partition", f.number, "err", damage)
		if err := errors.Join(part.Close(), s.discard(f.number)); err != nil {
			return err
		}
		if part, err = s.Open(ctx, f.number); err != nil {
			return err
		}
	}
	f.part, f.rows, f.end = part, 0, span.End
	return nil
}

// client makes one that reads each open copy from where it stands. A change makes a new client: what
// an old one still holds may not follow on what a copy has. Nil: there is nothing to read.
func (s *Set) client(copies []*follower) (*kgo.Client, error) {
	from := map[int32]kgo.Offset{}
	for _, f := range copies {
		f.mu.Lock()
		if f.part != nil {
			from[f.number] = kgo.NewOffset().AtStart()
			if at := f.part.Offset(); at >= 0 {
				from[f.number] = kgo.NewOffset().At(at + 1)
			}
		}
		f.mu.Unlock()
	}
	if len(from) == 0 {
		return nil, nil
	}
	return s.Kafka.NewClient(s.ClientID,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.Topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a copy that the log does not carry on is made anew
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMinBytes(gatherBytes), kgo.FetchMaxWait(gather),
		kgo.FetchMaxPartitionBytes(fetchBytes),
	)
}

// poll hands what comes to the copies.
func (s *Set) poll(ctx context.Context, cl *kgo.Client, copies []*follower) {
	one, cancel := context.WithTimeout(ctx, pollTime)
	fetches := cl.PollFetches(one)
	cancel()
	if ctx.Err() != nil {
		return
	}
	by := map[int32]*follower{}
	for _, f := range copies {
		by[f.number] = f
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if f := by[p.Partition]; f != nil {
			s.apply(f, p)
		}
	})
	for _, f := range copies {
		s.skipHole(ctx, cl, f)
	}
}

// apply writes one fetch. A copy that does not go on is closed, and opened again later.
func (s *Set) apply(f *follower, p kgo.FetchTopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.part == nil {
		return
	}
	err := p.Err
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return
	}
	if err == nil && len(p.Records) > 0 {
		last := p.Records[len(p.Records)-1].Offset
		if err = f.part.Follow(p.Records, last); err == nil {
			f.rows += int64(len(p.Records))
			f.end, f.moved = max(p.LastStableOffset, last+1), time.Now()
		}
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("follow from %d: %w", f.part.Offset()+1, err), f.part.Close())
		s.Log.Warn("standby: opening again", "topic", s.Topic, "partition", f.number, "err", err)
		f.part, f.moved = nil, time.Now()
	}
}

// skipHole lets a copy pass over what compaction took at the end of the log.
func (s *Set) skipHole(ctx context.Context, cl *kgo.Client, f *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.part == nil || f.part.Offset()+1 >= f.end || time.Since(f.moved) < quiet {
		return
	}
	f.moved = time.Now()
	next, err := recovery.Skip(ctx, cl, s.Topic, f.number, f.part.Offset()+1)
	if err != nil {
		s.Log.Debug("standby: cannot look for a hole", "topic", s.Topic, "partition", f.number, "err", err)
		return
	}
	if next > f.part.Offset()+1 {
		if err := f.part.Follow(nil, next-1); err != nil {
			s.Log.Warn("standby: cannot pass over a hole", "topic", s.Topic, "partition", f.number, "err", err)
		}
	}
}
