// Package loose breaks the core on purpose, from outside, so that a checker can be seen to miss the
// transaction when it is not there: as soon as records were polled it commits their offsets by itself, as
// consumers with automatic commits do, and not in the transaction that holds what they led to. It is a hook
// of the Kafka client; the core itself has no such mode.
package loose

import (
	"context"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Committer commits the offsets of one processor's input, as an instance of its group.
type Committer struct {
	input, instance string
	news            chan struct{} // a token: there is something to commit

	mu     sync.Mutex
	member *kgo.Client
	polled map[int32]int64 // the next offset
}

// New is for the input topic of a processor and the instance id that it runs with. Give it to the
// processor's clients as a hook, and Run it beside.
func New(input, instance string) *Committer {
	return &Committer{input: input, instance: instance, news: make(chan struct{}, 1), polled: map[int32]int64{}}
}

// OnNewClient implements kgo.HookNewClient: of all the clients of a processor, it wants that in the group.
func (c *Committer) OnNewClient(cl *kgo.Client) {
	if group, _ := cl.OptValue(kgo.ConsumerGroup).(string); group == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.member = cl
	clear(c.polled)
}

// OnFetchRecordUnbuffered implements kgo.HookFetchRecordUnbuffered.
func (c *Committer) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	if !polled || r.Topic != c.input {
		return
	}
	c.mu.Lock()
	c.polled[r.Partition] = r.Offset + 1
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// Run commits until ctx ends. What the brokers refuse, such as a generation that is over, is let go.
func (c *Committer) Run(ctx context.Context) error {
	var id [16]byte
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.news:
		}
		cl, req := c.request()
		if cl == nil {
			continue
		}
		if id == ([16]byte{}) { // requests from version 10 on name the topic by it
			found, err := kadm.NewClient(cl).ListTopics(ctx, c.input)
			if err != nil {
				continue
			}
			id = found[c.input].ID
		}
		req.Topics[0].TopicID = id
		if _, err := req.RequestWith(ctx, cl); err != nil {
			slog.Warn("loose commit", "input", c.input, "err", err)
		}
	}
}

// request commits what was polled since the last one.
func (c *Committer) request() (*kgo.Client, *kmsg.OffsetCommitRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.member == nil || len(c.polled) == 0 {
		return nil, nil
	}
	group, _ := c.member.OptValue(kgo.ConsumerGroup).(string)
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.InstanceID = group, &c.instance
	req.MemberID, req.Generation = c.member.GroupMetadata()
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = c.input
	for number, next := range c.polled {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = number, next
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	clear(c.polled)
	return c.member, req
}
