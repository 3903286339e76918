package recovery

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probeTime bounds one look for a hole.
const probeTime = 5 * time.Second

// Where a record batch says what it holds.
const (
	batchHead      = 61 // bytes of a batch without its records
	batchLength    = 8  // int32: bytes that follow
	batchLastDelta = 23 // int32: of the last offset
	batchRecords   = 57 // int32
)

// Skip returns the first offset of a partition, not before next, that may hold a record that is decided.
// Compaction can take the last records of a log: a client then polls for ever, because a fetch without
// records moves nobody. Waiting alone proves nothing, so we ask the partition's leader itself.
func Skip(ctx context.Context, cl *kgo.Client, topic string, partition int32, next int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	for {
		found, err := fetch(ctx, cl, topic, partition, next)
		if err != nil {
			return next, fmt.Errorf("fetch %s/%d at %d: %w", topic, partition, next, err)
		}
		if len(found.RecordBatches) == 0 { // nothing from here to the last stable offset
			return max(next, found.LastStableOffset), nil
		}
		after, empty := skipEmpty(found.RecordBatches)
		if after <= next || !empty {
			return max(next, after), nil
		}
		next = after
	}
}

// skipEmpty passes over leading batches that compaction emptied. It returns the offset after them, 0
// for none, and whether nothing else followed.
func skipEmpty(b []byte) (after int64, all bool) {
	for len(b) >= batchHead {
		if binary.BigEndian.Uint32(b[batchRecords:]) != 0 {
			return after, false
		}
		after = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[batchLastDelta:])) + 1
		size := batchLength + 4 + int(binary.BigEndian.Uint32(b[batchLength:]))
		if size > len(b) {
			return after, true
		}
		b = b[size:]
	}
	return after, true
}

// fetch asks the partition's leader once.
func fetch(ctx context.Context, cl *kgo.Client, topic string, partition int32, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	meta, err := kadm.NewClient(cl).Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	detail := meta.Topics[topic]
	leader, ok := detail.Partitions[partition]
	if !ok || leader.Leader < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, offset, 1<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = topic, detail.ID, []kmsg.FetchRequestTopicPartition{rp}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = 0, 0, 1<<20, 1, -1
	req.Topics = []kmsg.FetchRequestTopic{rt}
	shaped, err := cl.Broker(int(leader.Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := shaped.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("the answer has %d topics", len(resp.Topics))
	}
	found := &resp.Topics[0].Partitions[0]
	return found, kerr.ErrorForCode(found.ErrorCode)
}
