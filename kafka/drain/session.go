package drain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/topics"
)

// session is one membership of the pipeline's group: from a client's start to its end.
type session struct {
	*pipeline
	topicID [16]byte
	broken  chan error // gets why the session must end, once

	mu   sync.Mutex
	term *term // nil between assignments
}

// term is what one generation of the group gave to this member.
type term struct {
	parts map[int32]*partition
	left  int // partitions still replaying; under session.mu
	soft  context.CancelFunc
	hard  context.CancelFunc
	wg    sync.WaitGroup
}

// session runs until ctx ends or the fate of a commit is unknown.
func (p *pipeline) session(ctx context.Context) error {
	s := &session{pipeline: p, broken: make(chan error, 1)}
	if err := s.findTopic(ctx); err != nil { // before the group can give us partitions
		return err
	}
	cl, err := p.cfg.Kafka.NewClient("dwell-sink-"+p.Name, append(kafka.ProducerOptions(),
		kgo.ConsumerGroup(p.Group()),
		kgo.ConsumeTopics(p.Topic.Name),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers take offsets; the confirmed offset passes them, or retention would seem to
		// have passed it on a quiet topic.
		kgo.KeepControlRecords(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a lost range is never skipped silently
		kgo.DisableAutoCommit(),
		// Eager: a rebalance takes everything away and gives it anew, with one generation for all.
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.SessionTimeout(p.cfg.SessionTimeout),
		// Letting go takes a grace and a commit; whoever takes longer is dead or stopped.
		kgo.RebalanceTimeout(max(p.cfg.SessionTimeout, p.cfg.Grace+commitTimeout)),
		kgo.HeartbeatInterval(min(3*time.Second, p.cfg.SessionTimeout/4)),
		// What was polled is handed to its owner before partitions can move.
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxBytes(16<<20), kgo.MaxConcurrentFetches(2),
		kgo.ProducerBatchMaxBytes(int32(topics.DeadLetters.MaxMessageBytes)),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnOffsetsFetched(s.fetched),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { s.stop(p.cfg.Grace) }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { s.stop(0) }),
	)...)
	if err != nil {
		return err
	}
	defer s.stop(0) // what the group gave us while it was being left
	defer cl.CloseAllowingRebalance()
	defer s.stop(p.cfg.Grace) // while the client can still commit
	return s.poll(ctx, cl)
}

// findTopic waits for the topic and takes its id, which is part of every token.
func (s *session) findTopic(ctx context.Context) error {
	cl, err := s.cfg.Kafka.NewClient("dwell-sink-" + s.Name)
	if err != nil {
		return err
	}
	defer cl.Close()
	one, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	found, err := kadm.NewClient(cl).ListTopics(one, s.Topic.Name)
	if err != nil {
		return fmt.Errorf("look up topic %s: %w", s.Topic.Name, err)
	}
	t, ok := found[s.Topic.Name]
	if !ok || t.Err != nil {
		return fmt.Errorf("look up topic %s: %w", s.Topic.Name, errors.Join(errors.New("it is not there"), t.Err))
	}
	s.topicID = t.ID
	return nil
}

// poll hands records to the partitions' workers.
func (s *session) poll(ctx context.Context, cl *kgo.Client) error {
	polling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case err := <-s.broken:
			cancel(err)
		case <-stop:
		}
	}()
	defer func() { close(stop); <-done }()
	for {
		fs := cl.PollFetches(polling)
		if polling.Err() != nil {
			cl.AllowRebalance()
			return context.Cause(polling)
		}
		fs.EachTopic(func(t kgo.FetchTopic) {
			t.EachPartition(func(p kgo.FetchPartition) { s.hand(t.TopicID, p) })
		})
		cl.AllowRebalance()
	}
}

// hand gives one fetched partition to its owner.
func (s *session) hand(topicID [16]byte, f kgo.FetchPartition) {
	s.mu.Lock()
	var w *partition
	if s.term != nil {
		w = s.term.parts[f.Partition]
	}
	s.mu.Unlock()
	if w == nil {
		if f.Err != nil {
			s.log.Warn("fetch failed", "err", f.Err)
		}
		return
	}
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(f.Err, kerr.OffsetOutOfRange), errors.As(f.Err, &loss):
		w.end(fmt.Errorf("%s/%d: the log no longer holds offset %d, where this sink was to go on (%w): records are missing in the sink; "+
			"it will not skip them by itself: restate the lost time from another copy, or accept the loss and set the offset of group %s with Kafka's own tools",
			w.topic, w.id, w.snapshot().Confirmed, f.Err, s.Group()))
	case topicID != [16]byte{} && s.topicID != [16]byte{} && topicID != s.topicID:
		w.end(fmt.Errorf("%s/%d: the topic was deleted and made anew while it was drained; restart the sink", w.topic, w.id))
	case f.Err != nil:
		s.log.Warn("fetch failed, trying again", "topic", w.topic, "partition", w.id, "err", f.Err)
	default:
		w.in.push(f.Records)
	}
}

// assigned comes before fetched, and alone when there is nothing to own.
func (s *session) assigned(_ context.Context, _ *kgo.Client, got map[string][]int32) {
	if len(got[s.Topic.Name]) == 0 {
		s.once.Do(func() { close(s.ready) })
	}
}

// fetched starts a worker for each partition, from what its commit says.
func (s *session) fetched(_ context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	commits := committer{cl: cl, group: s.Group(), node: new(atomic.Int32)}
	commits.member, commits.generation = cl.GroupMetadata()
	commits.node.Store(-1)
	// The workers outlive this callback; stop ends and waits for them.
	soft, endSoft := context.WithCancel(context.Background())
	hard, endHard := context.WithCancel(context.Background())
	t := &term{parts: map[int32]*partition{}, soft: endSoft, hard: endHard}
	for _, r := range s.offsets(resp) {
		t.parts[r.Partition] = newPartition(s, commits, r.Partition, found(r))
	}
	t.left = len(t.parts)
	owned := slices.Collect(maps.Values(t.parts))
	s.pipeline.mu.Lock()
	s.owned = owned
	s.pipeline.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term = t
	for _, w := range owned {
		cl.ResumeFetchPartitions(map[string][]int32{w.topic: {w.id}}) // an owner before may have paused it
		t.wg.Go(func() {
			w.run(soft, hard)
		})
	}
	return nil
}

// offsets are those of our topic.
func (s *session) offsets(resp *kmsg.OffsetFetchResponse) []kmsg.OffsetFetchResponseGroupTopicPartition {
	var all []kmsg.OffsetFetchResponseGroupTopicPartition
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			if t.Topic != s.Topic.Name && (t.Topic != "" || t.TopicID != s.topicID) {
				continue
			}
			for _, r := range t.Partitions {
				if r.ErrorCode == 0 {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// commitFound is what a partition's commit holds.
type commitFound struct {
	offset   int64 // below 0: no commit
	metadata string
}

func found(r kmsg.OffsetFetchResponseGroupTopicPartition) commitFound {
	f := commitFound{offset: r.Offset}
	if r.Metadata != nil {
		f.metadata = *r.Metadata
	}
	return f
}

func (f commitFound) confirmation() (sinks.Confirmation, error) {
	if f.offset < 0 {
		return sinks.Confirmation{}, nil
	}
	intent, err := sinks.ParseIntent(f.metadata)
	return sinks.Confirmation{Offset: f.offset, Intent: intent}, err
}

// stop ends all workers and waits for them: at once, but for an insert under way, which has the grace.
func (s *session) stop(grace time.Duration) {
	s.mu.Lock()
	t := s.term
	s.term = nil
	s.mu.Unlock()
	if t == nil {
		return
	}
	t.soft()
	late := time.AfterFunc(grace, t.hard)
	t.wg.Wait()
	late.Stop()
	t.hard()
	s.pipeline.mu.Lock()
	s.owned = nil
	s.pipeline.mu.Unlock()
}

// replayed is called once by each worker.
func (s *session) replayed(w *partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.term
	if t == nil || t.parts[w.id] != w {
		return // taken away meanwhile
	}
	if t.left--; t.left == 0 {
		s.once.Do(func() { close(s.ready) })
	}
}

// giveUp ends the session.
func (s *session) giveUp(err error) {
	select {
	case s.broken <- err:
	default:
	}
}
