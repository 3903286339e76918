package drain

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/sinks"
)

var (
	// errFenced: the group has gone on without this member; the partition is somebody else's.
	errFenced = errors.New("partition is no longer ours")
	// errUnknown: the commit may or may not be in the log, now or later.
	errUnknown = errors.New("fate of a commit is unknown")
)

const commitTimeout = 10 * time.Second

// committer writes offset commits of one group membership. Its generation was taken when the
// partitions were assigned, so the broker refuses whatever comes after they moved.
type committer struct {
	cl         *kgo.Client
	group      string
	member     string
	generation int32
	node       *atomic.Int32 // the coordinator's broker id; below 0: not known
}

// commit returns once the coordinator has the commit. errFenced: it certainly has not, and the
// partition must be dropped. errUnknown: the session must end.
//
// Requests go to the coordinator without the client's own retries. A copy of a request whose
// connection broke may still be on its way, be taken after the next commit and hide that one's
// intent; only a new generation keeps it out for certain. That is why errUnknown ends the session.
func (c committer) commit(ctx context.Context, topic string, id [16]byte, partition int32, conf sinks.Confirmation) error {
	meta, err := conf.Intent.Encode()
	if err != nil {
		return fmt.Errorf("commit offset %d: %w", conf.Offset, err)
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = c.group, c.member, c.generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, conf.Offset, &meta
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	for pause := (backoff{most: time.Second}); ; {
		again, err := c.try(ctx, req)
		if !again {
			return err
		}
		if !pause.wait(ctx) {
			return fmt.Errorf("commit offset %d of %s/%d: %w: %w", conf.Offset, topic, partition, errUnknown, err)
		}
	}
}

// try sends once; again: the coordinator has certainly not taken it, or has ordered it before
// whatever it gets next.
func (c committer) try(ctx context.Context, req *kmsg.OffsetCommitRequest) (again bool, err error) {
	node, err := c.coordinator(ctx)
	if err != nil {
		return true, err
	}
	got, err := c.cl.Broker(int(node)).Request(ctx, req)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnknown, err)
	}
	resp, ok := got.(*kmsg.OffsetCommitResponse)
	if !ok || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return false, fmt.Errorf("%w: the answer holds no partition", errUnknown)
	}
	err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.RebalanceInProgress),
		errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.StaleMemberEpoch):
		return false, fmt.Errorf("%w: %w", errFenced, err)
	case kerr.IsRetriable(err):
		c.node.Store(-1) // it may have moved
		return true, err
	}
	return false, err
}

// coordinator asks once, and again after an error.
func (c committer) coordinator(ctx context.Context) (int32, error) {
	if node := c.node.Load(); node >= 0 {
		return node, nil
	}
	found, ok := kadm.NewClient(c.cl).FindGroupCoordinators(ctx, c.group)[c.group]
	if !ok {
		found.Err = errors.New("no answer")
	}
	if found.Err != nil {
		return -1, fmt.Errorf("find the coordinator of %s: %w", c.group, found.Err)
	}
	c.node.Store(found.NodeID)
	return found.NodeID, nil
}
