package dispatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// pollRecords bounds what is taken at once; a rebalance waits for no more than this.
const pollRecords = 1000

// member is this process in the consumer group.
type member struct {
	d        *Dispatcher
	cl       *kgo.Client
	commitMu sync.Mutex // one commit at a time: an older prefix must not overtake a newer one
}

func (d *Dispatcher) join() (*member, error) {
	m := &member{d: d}
	cl, err := d.cfg.Kafka.NewClient("dwell-engager",
		kgo.ConsumerGroup(d.cfg.Group),
		kgo.ConsumeTopics(topics.Actions.Name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Cooperative: a rebalance takes away only what moves; the rest goes on waiting here.
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(d.cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(d.cfg.SessionTimeout/3, 3*time.Second)),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost))
	if err != nil {
		return nil, fmt.Errorf("engager: %w", err)
	}
	m.cl = cl
	return m, nil
}

// The callbacks run between polls, never beside one. The client is a parameter because the first
// may come before NewClient has returned.

func (m *member) assigned(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
	mine := parts[topics.Actions.Name]
	before := m.recall(cl, mine)
	m.d.mu.Lock()
	for _, p := range mine {
		m.d.queue.assign(p, before[p])
	}
	m.d.mu.Unlock()
	m.d.phase.CompareAndSwap(&errJoining, nil)
	m.d.deps.Log.Info("engager: partitions assigned", "topic", topics.Actions.Name, "partitions", mine)
}

// revoked hands partitions over: what is finished is committed, what waits is the next owner's.
func (m *member) revoked(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
	if len(parts[topics.Actions.Name]) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	m.commit(ctx, cl)
	m.drop(parts)
}

// lost: we are no member any more, so nothing can be committed.
func (m *member) lost(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	m.d.phase.CompareAndSwap(nil, &errJoining)
	m.drop(parts)
}

func (m *member) drop(parts map[string][]int32) {
	m.d.mu.Lock()
	for _, p := range parts[topics.Actions.Name] {
		m.d.queue.revoke(p)
	}
	m.d.mu.Unlock()
	m.d.deps.Log.Info("engager: partitions gone", "topic", topics.Actions.Name, "partitions", parts[topics.Actions.Name])
}

// consume takes actions in until ctx ends.
func (m *member) consume(ctx context.Context) {
	for m.spacious(ctx) {
		fs := m.cl.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			return // what was just polled stays uncommitted
		}
		fs.EachError(func(t string, p int32, err error) {
			m.d.deps.Log.Warn("fetch failed, trying again", "topic", t, "partition", p, "err", err)
		})
		fs.EachRecord(m.d.admit)
		m.cl.AllowRebalance()
		signal(m.d.wake)
	}
}

// spacious waits until there is space for another poll; false means that ctx ended. Space is lacking
// only while brokers confirm no reports: otherwise the pump gives up what is too much.
func (m *member) spacious(ctx context.Context) bool {
	for {
		m.d.mu.Lock()
		full := m.d.queue.waiting() > m.d.cfg.MaxWaiting+pollRecords
		m.d.mu.Unlock()
		if !full && m.d.reports.room() > 0 {
			return ctx.Err() == nil
		}
		signal(m.d.wake)
		select {
		case <-ctx.Done():
			return false
		case <-m.d.space:
		}
	}
}

// admit queues one record, or reports at once why it cannot be delivered.
func (d *Dispatcher) admit(r *kgo.Record) {
	d.mu.Lock()
	known := d.queue.known(r.Partition, r.Offset)
	d.mu.Unlock()
	if known {
		return
	}
	a, err := topics.Actions.Codec.Decode(r.Value)
	if err == nil && (a.Id == "" || a.User == "") {
		err = fmt.Errorf("%w: an action without id or user", schemas.ErrUndecodable)
	}
	if err != nil {
		d.bury(r, err)
		return
	}
	d.mu.Lock()
	ok := d.queue.add(r.Partition, r.Offset, a, r.Timestamp)
	var t *task
	if !ok {
		t = d.queue.track(r.Partition, r.Offset, a)
	}
	d.mu.Unlock()
	if !ok {
		d.end(t, "failed", fmt.Errorf("no channel here serves %q", a.Channel))
	}
}

// bury moves a record that is no action to the dead letters.
func (d *Dispatcher) bury(r *kgo.Record, cause error) {
	d.deps.Log.Warn("rejected", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "err", cause)
	d.mu.Lock()
	t := d.queue.track(r.Partition, r.Offset, nil)
	d.mu.Unlock()
	d.reports.send(report{task: t, key: string(r.Key), letter: &schemas.DeadLetter{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, By: "engager", Error: cause.Error(), TimeMs: d.deps.Now().UnixMilli(),
	}})
}
