// Package broker asks Kafka what the stream core must know besides records: which topics there are,
// where partitions begin and end, and whose transactions a dead instance left open. Questions are
// asked again while brokers are away, for as long as their context allows and a minute at most.
package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka"
)

const (
	oneTry   = 10 * time.Second
	allTries = time.Minute
	between  = 250 * time.Millisecond
)

// Admin asks. It may be used by many goroutines.
type Admin struct {
	cfg kafka.Config
	id  string
	cl  *kgo.Client
	adm *kadm.Client
}

// New connects when it is first asked.
func New(cfg kafka.Config, clientID string) (*Admin, error) {
	cl, err := cfg.NewClient(clientID)
	if err != nil {
		return nil, err
	}
	return &Admin{cfg: cfg, id: clientID, cl: cl, adm: kadm.NewClient(cl)}, nil
}

// Close ends the connections.
func (a *Admin) Close() { a.cl.Close() }

// Topic returns a topic's id and number of partitions. A topic that does not exist and does not appear
// within wait is an error that wraps kerr.UnknownTopicOrPartition. Only the time between answers counts:
// brokers that stand still meanwhile say nothing of what there is.
func (a *Admin) Topic(ctx context.Context, name string, wait time.Duration) (id [16]byte, partitions int, err error) {
	err = retry(ctx, "look up topic "+name, func(ctx context.Context) (bool, error) {
		found, err := a.adm.ListTopics(ctx, name)
		if err != nil {
			return true, err
		}
		t, ok := found[name]
		if err := t.Err; ok && err == nil {
			id, partitions = t.ID, len(t.Partitions)
			return false, nil
		} else if ok && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return kerr.IsRetriable(err), err
		}
		wait -= between
		return wait >= 0, kerr.UnknownTopicOrPartition
	})
	return id, partitions, err
}

// Create makes a topic; one that exists already is fine.
func (a *Admin) Create(ctx context.Context, name string, partitions int, settings map[string]string) error {
	set := map[string]*string{}
	for k, v := range settings {
		set[k] = &v
	}
	return retry(ctx, "create topic "+name, func(ctx context.Context) (bool, error) {
		_, err := a.adm.CreateTopic(ctx, int32(partitions), a.cfg.Replication, set, name)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return false, nil
		}
		return transient(err), err
	})
}

// Settings returns the configuration in force of topics, defaults included, by topic. It asks once.
func (a *Admin) Settings(ctx context.Context, names ...string) (map[string]map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	all, err := a.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("read the settings of %v: %w", names, err)
	}
	found := map[string]map[string]string{}
	for _, r := range all {
		if r.Err != nil {
			return nil, fmt.Errorf("read the settings of topic %s: %w", r.Name, r.Err)
		}
		found[r.Name] = map[string]string{}
		for _, c := range r.Configs {
			found[r.Name][c.Key] = c.MaybeValue()
		}
	}
	return found, nil
}

// Span says where a partition begins and ends.
type Span struct {
	// Start is the first offset that is kept, End the one that the next record gets.
	Start, End int64
}

// Span returns the whole of a partition: to the high watermark, whether decided or not.
func (a *Admin) Span(ctx context.Context, topic string, partition int32) (s Span, err error) {
	err = retry(ctx, fmt.Sprintf("find the ends of %s/%d", topic, partition), func(ctx context.Context) (bool, error) {
		if s.Start, err = lookup(topic, partition)(a.adm.ListStartOffsets(ctx, topic)); err != nil {
			return transient(err), err
		}
		s.End, err = lookup(topic, partition)(a.adm.ListEndOffsets(ctx, topic))
		return transient(err), err
	})
	return s, err
}

// Decided returns, once asked and without asking again, the spans of all partitions of topics up to
// the last stable offset: what a reader of committed records can read.
func (a *Admin) Decided(ctx context.Context, topics ...string) (map[string]map[int32]Span, error) {
	ends, err := a.adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("find the ends of %v: %w", topics, err)
	}
	starts, err := a.adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("find the starts of %v: %w", topics, err)
	}
	spans := map[string]map[int32]Span{}
	ends.Each(func(o kadm.ListedOffset) {
		if spans[o.Topic] == nil {
			spans[o.Topic] = map[int32]Span{}
		}
		start, _ := starts.Lookup(o.Topic, o.Partition)
		spans[o.Topic][o.Partition] = Span{start.Offset, o.Offset}
	})
	return spans, nil
}

// Holder returns the member that holds the place of a static instance in a group; "" means nobody.
func (a *Admin) Holder(ctx context.Context, group, instance string) (member string, err error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	groups, err := a.adm.DescribeGroups(ctx, group)
	if err == nil {
		err = groups[group].Err
	}
	if err != nil {
		return "", fmt.Errorf("describe group %s: %w", group, err)
	}
	for _, m := range groups[group].Members {
		if m.InstanceID != nil && *m.InstanceID == instance {
			return m.MemberID, nil
		}
	}
	return "", nil
}

// Notes returns what lies beside a group's committed offsets in partitions of any topic, by partition.
// It asks once.
func (a *Admin) Notes(ctx context.Context, group string, partitions []int32) (map[int32][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	found, err := a.adm.FetchOffsets(ctx, group)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("read what group %s committed: %w", group, err)
	}
	notes := map[int32][]string{}
	for _, n := range partitions {
		notes[n] = nil
	}
	found.Each(func(o kadm.OffsetResponse) {
		if list, ok := notes[o.Partition]; ok {
			notes[o.Partition] = append(list, o.Metadata)
		}
	})
	return notes, nil
}

// Leave takes a static member out of its group, so that others take over at once. It names the
// member, too: a successor with the same instance id is left alone.
func (a *Admin) Leave(ctx context.Context, group, member, instance string) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID, m.Reason = member, &instance, kmsg.StringPtr("stopped")
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, a.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	for i := 0; err == nil && i < len(resp.Members); i++ {
		err = kerr.ErrorForCode(resp.Members[i].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("leave group %s as %s: %w", group, instance, err)
	}
	return nil
}

func lookup(topic string, partition int32) func(kadm.ListedOffsets, error) (int64, error) {
	return func(l kadm.ListedOffsets, err error) (int64, error) {
		if err != nil {
			return 0, err
		}
		o, ok := l.Lookup(topic, partition)
		if !ok {
			return 0, kerr.UnknownTopicOrPartition
		}
		return o.Offset, o.Err
	}
}

// transient: a Kafka error says so itself, anything else is the network.
func transient(err error) bool {
	var ke *kerr.Error
	return err != nil && (!errors.As(err, &ke) || ke.Retriable)
}

// retry asks until it need not be asked again.
func retry(ctx context.Context, what string, ask func(context.Context) (again bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, allTries)
	defer cancel()
	for {
		one, cancelOne := context.WithTimeout(ctx, oneTry)
		again, err := ask(one)
		cancelOne()
		if err == nil {
			return nil
		}
		if !again || !pause(ctx, between) {
			return fmt.Errorf("%s: %w", what, errors.Join(err, context.Cause(ctx)))
		}
	}
}

// pause waits d; false means that ctx ended first.
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
