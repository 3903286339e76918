package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/topics"
)

const (
	// commitTimeout bounds a commit that a rebalance or a shutdown waits for.
	commitTimeout = 5 * time.Second
	recallPause   = 100 * time.Millisecond
)

// commitOften commits until ctx ends.
func (m *member) commitOften(ctx context.Context) {
	tick := time.NewTicker(m.d.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.commit(ctx, m.cl)
		}
	}
}

// commit writes how far each partition is finished. A commit that fails is made up for by the next.
func (m *member) commit(ctx context.Context, cl *kgo.Client) {
	m.commitMu.Lock()
	defer m.commitMu.Unlock()
	m.d.mu.Lock()
	marks := m.d.queue.marks()
	m.d.mu.Unlock()
	if len(marks) == 0 {
		return
	}
	offsets := map[int32]kgo.EpochOffset{}
	for p, mk := range marks {
		offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: mk.offset}
	}
	annotated := kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				p.Metadata = kmsg.StringPtr(marks[p.Partition].meta)
			}
		}
		return nil
	})
	cl.CommitOffsetsSync(annotated, map[string]map[int32]kgo.EpochOffset{topics.Actions.Name: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, res *kmsg.OffsetCommitResponse, err error) {
			for p, cause := range refused(res) {
				err = errors.Join(err, fmt.Errorf("partition %d: %w", p, cause))
				delete(marks, p)
			}
			if err != nil && ctx.Err() == nil {
				m.d.deps.Log.Warn("commit failed, trying again", "topic", topics.Actions.Name, "err", err)
			}
			if res != nil && len(res.Topics) > 0 {
				m.d.mu.Lock()
				m.d.queue.committed(marks)
				m.d.mu.Unlock()
			}
		})
}

// refused are the errors of a commit, by partition.
func refused(res *kmsg.OffsetCommitResponse) map[int32]error {
	out := map[int32]error{}
	if res == nil {
		return out
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				out[p.Partition] = err
			}
		}
	}
	return out
}

// leave commits what is finished and leaves the group.
func (m *member) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	m.commit(ctx, m.cl)
	m.cl.CloseAllowingRebalance()
}

// recall reads what the predecessors left in their commits. Without it, what they finished behind
// their commits is delivered again, so a failure is worth a few tries, but not the partition.
func (m *member) recall(cl *kgo.Client, mine []int32) map[int32]memory {
	out := map[int32]memory{}
	if len(mine) == 0 {
		return out
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		var offsets kadm.OffsetResponses
		if offsets, err = kadm.NewClient(cl).FetchOffsetsForTopics(ctx, m.d.cfg.Group, topics.Actions.Name); err == nil {
			err = offsets.Error()
		}
		if err == nil {
			for _, p := range mine {
				o, ok := offsets.Lookup(topics.Actions.Name, p)
				if !ok || o.At < 0 {
					continue
				}
				if out[p], err = decodeMemory(o.At, o.Metadata); err != nil {
					m.d.deps.Log.Warn("what the commit says is not known", "topic", topics.Actions.Name, "partition", p, "offset", o.At, "err", err)
				}
			}
			return out
		}
		wait(ctx, recallPause)
	}
	m.d.deps.Log.Warn("what was finished behind the commits is not known; it will be delivered again", "topic", topics.Actions.Name, "partitions", mine, "err", err)
	return out
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
