package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/dwellhq/dwell/kafka/stream/guarantee"
	"github.com/dwellhq/dwell/kafka/stream/table"
)

// errHost marks what goka did not manage: to set partitions up, or to go on with them.
var errHost = errors.New("goka")

// claimBuffer is how many batches one input of a partition may have waiting. A full one makes the
// driver wait, which costs nothing: the transaction waits for all of them anyway.
const claimBuffer = 16

// session is a sarama.ConsumerGroupSession: one assignment, from recovery to its end. goka panics
// when two overlap, so each waits for the one before.
type session struct {
	p        *Processor
	ctx      context.Context // its end is the session's; goka asks for it
	cancel   context.CancelFunc
	assigned map[string][]int32 // with the topic of wakes
	claims   map[string]map[int32]*claim
	member   string
	gen      int32
	before   <-chan struct{} // closed when the session before is over
	ready    chan struct{}   // closed when all partitions are set up
	done     chan struct{}   // closed when it is over
	err      error           // why; read it after done

	gone atomic.Bool   // the group took the partitions away
	open atomic.Int64  // batches that goka has not marked
	idle chan struct{} // gets a token when open falls to zero
	told bool          // a stall was told with all goroutines
}

// claim is a sarama.ConsumerGroupClaim: one input of one partition.
type claim struct {
	topic     string
	partition int32
	out       chan *sarama.ConsumerMessage
	next      int64 // offset of the next wake
}

// Topic implements sarama.ConsumerGroupClaim.
func (c *claim) Topic() string { return c.topic }

// Partition implements sarama.ConsumerGroupClaim.
func (c *claim) Partition() int32 { return c.partition }

// InitialOffset implements sarama.ConsumerGroupClaim. goka only logs it.
func (c *claim) InitialOffset() int64 { return sarama.OffsetOldest }

// HighWaterMarkOffset implements sarama.ConsumerGroupClaim. goka never asks.
func (c *claim) HighWaterMarkOffset() int64 { return 0 }

// Messages implements sarama.ConsumerGroupClaim.
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.out }

func (p *Processor) newSession(assigned map[string][]int32, member string, gen int32, before <-chan struct{}) *session {
	s := &session{
		p: p, assigned: map[string][]int32{}, claims: map[string]map[int32]*claim{}, member: member, gen: gen, before: before,
		ready: make(chan struct{}), done: make(chan struct{}), idle: make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for topic, numbers := range assigned {
		s.assigned[topic] = numbers
	}
	if own := s.partitions(); p.def.Wakes && len(own) > 0 {
		s.assigned[p.wakeTopic()] = own
	}
	for topic, numbers := range s.assigned {
		s.claims[topic] = map[int32]*claim{}
		for _, n := range numbers {
			s.claims[topic][n] = &claim{topic: topic, partition: n, out: make(chan *sarama.ConsumerMessage, claimBuffer)}
		}
	}
	return s
}

// partitions are the numbers that all inputs have in common.
func (s *session) partitions() []int32 { return s.assigned[s.p.def.Inputs[0].Name] }

// tables are the partitions that goka set up.
func (s *session) tables() []*table.Partition {
	var all []*table.Partition
	for _, n := range s.partitions() {
		if t := s.p.partition(n); t != nil {
			all = append(all, t)
		}
	}
	return all
}

// await waits until the partitions are set up or the session is over. An error means that goka failed.
func (s *session) await(ctx context.Context) error {
	if !s.settles(ctx) || s.gone.Load() {
		return nil
	}
	select {
	case <-s.done:
		return &lost{cmp.Or(s.err, errHost)}
	default:
		return nil
	}
}

// setupSlow is how long partitions may take to be set up until it is logged, and again each time.
const setupSlow = 30 * time.Second

// settles waits until the partitions are set up or the session is over; false: ctx ended first.
func (s *session) settles(ctx context.Context) bool {
	slow := time.NewTicker(setupSlow)
	defer slow.Stop()
	began, rows := time.Now(), s.p.shared.Count.Recovered.Load()
	for {
		select {
		case <-s.ready:
			return true
		case <-s.done:
			return true
		case <-ctx.Done():
			return false
		case <-slow.C:
			before := rows
			rows = s.p.shared.Count.Recovered.Load()
			s.stalled(time.Since(began), rows-before)
		}
	}
}

// stackBytes is room for the stacks of some thousand goroutines.
const stackBytes = 1 << 20

// stalled tells of partitions that are not set up yet. Where no row was read lately either, it tells what all
// goroutines wait for, once: nobody could say it afterwards.
func (s *session) stalled(since time.Duration, rows int64) {
	attrs := []any{"generation", s.gen, "partitions", s.partitions(), "for", since.Truncate(time.Second), "rows_read_lately", rows}
	if rows == 0 && !s.told {
		s.told = true
		stacks := make([]byte, stackBytes)
		attrs = append(attrs, "goroutines", string(stacks[:runtime.Stack(stacks, true)]))
	}
	s.p.log.Warn("partitions are still being set up", attrs...)
}

// run sets the partitions up, consumes until the session's end, and cleans up.
func (s *session) run(h sarama.ConsumerGroupHandler) {
	defer close(s.done)
	defer s.cancel()
	if s.before != nil {
		<-s.before
	}
	if s.ctx.Err() != nil {
		return
	}
	defer s.p.batches.Clear()
	defer s.p.restored.Clear()
	if len(s.partitions()) > 0 {
		if s.p.cfg.Guarantee != guarantee.AtLeastOnce {
			s.p.admin.Fence(s.ctx, s.p.log, s.p.shared.Topic, s.partitions(), s.p.group+"-", s.p.transactionalID())
		}
		s.p.resumeBrake(s.ctx, s.partitions())
	}
	defer s.releaseTables()
	began := time.Now()
	err := s.assignTables()
	if err == nil {
		err = h.Setup(s)
	}
	if err == nil {
		err = s.awaitTables()
	}
	switch {
	case s.ctx.Err() != nil: // revoked meanwhile: what Setup says of that is of no interest
	case err != nil:
		s.err = fmt.Errorf("%w: set up partitions %v: %w", errHost, s.partitions(), err)
	default:
		s.p.count.Recovered(time.Since(began).Seconds())
		s.p.log.Info("partitions assigned", "generation", s.gen, "partitions", s.partitions())
		s.consume(h)
	}
	if err := s.cleanup(h); err != nil {
		s.err = errors.Join(s.err, fmt.Errorf("%w: %w", errHost, err))
	}
}

// assignTables begins to follow the joined tables, beside goka, which sets its own up.
func (s *session) assignTables() error {
	if s.p.mirror == nil {
		return nil
	}
	return s.p.mirror.Assign(s.ctx, s.partitions(), s.cancel)
}

// awaitTables waits until the joined tables were read.
func (s *session) awaitTables() error {
	if s.p.mirror == nil {
		return nil
	}
	return s.p.mirror.Await(s.ctx)
}

// releaseTables is called when nothing is stepped any more.
func (s *session) releaseTables() {
	if s.p.mirror == nil {
		return
	}
	if err := s.p.mirror.Release(); err != nil {
		s.err = errors.Join(s.err, fmt.Errorf("%w: joined tables: %w", errHost, err))
	}
}

func (s *session) consume(h sarama.ConsumerGroupHandler) {
	var wg sync.WaitGroup
	for _, numbers := range s.claims {
		for _, c := range numbers {
			wg.Go(func() {
				defer s.cancel() // as in sarama, the first claim that ends ends the session
				if err := h.ConsumeClaim(s, c); err != nil {
					s.p.log.Error("claim ended", "topic", c.topic, "partition", c.partition, "err", err)
				}
			})
		}
	}
	close(s.ready)
	s.p.ready.Store(true)
	<-s.ctx.Done()
	s.p.ready.Store(false)
	wg.Wait()
}

// cleanup ends goka's partitions. After a failed Setup goka may not have started all of them, and
// then panics.
func (s *session) cleanup(h sarama.ConsumerGroupHandler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("clean up: panic: %v", v)
		}
	}()
	return h.Cleanup(s)
}

// deliver hands a batch to goka. False means that the session ended.
func (s *session) deliver(topic string, number int32, last int64, b batch) bool {
	c := s.claims[topic][number]
	if c == nil {
		return false
	}
	s.open.Add(1)
	m := &sarama.ConsumerMessage{Topic: topic, Partition: number, Offset: last, Value: s.p.batches.Put(b)}
	select {
	case c.out <- m:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// deliverWakes hands goka a batch of wakes.
func (s *session) deliverWakes(t *table.Partition, upToMS int64) bool {
	topic := s.p.wakeTopic()
	c := s.claims[topic][t.Number()]
	if c == nil {
		return false
	}
	c.next++
	return s.deliver(topic, t.Number(), c.next, batch{part: t, wakeMS: upToMS})
}

// drain waits until goka is done with everything delivered. False means that the session ended first.
func (s *session) drain() bool {
	for s.open.Load() > 0 {
		select {
		case <-s.idle:
		case <-s.ctx.Done():
			return false
		}
	}
	return s.ctx.Err() == nil
}

// MarkOffset implements sarama.ConsumerGroupSession: goka is done with a batch.
func (s *session) MarkOffset(string, int32, int64, string) {
	if s.open.Add(-1) == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// Claims implements sarama.ConsumerGroupSession.
func (s *session) Claims() map[string][]int32 { return s.assigned }

// MemberID implements sarama.ConsumerGroupSession.
func (s *session) MemberID() string { return s.member }

// GenerationID implements sarama.ConsumerGroupSession.
func (s *session) GenerationID() int32 { return s.gen }

// Context implements sarama.ConsumerGroupSession.
func (s *session) Context() context.Context { return s.ctx }

// MarkMessage implements sarama.ConsumerGroupSession.
func (s *session) MarkMessage(m *sarama.ConsumerMessage, md string) {
	s.MarkOffset(m.Topic, m.Partition, m.Offset+1, md)
}

// ResetOffset implements sarama.ConsumerGroupSession. goka never asks.
func (s *session) ResetOffset(string, int32, int64, string) {}

// Commit implements sarama.ConsumerGroupSession: the transaction does.
func (s *session) Commit() {}
