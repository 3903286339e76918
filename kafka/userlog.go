package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/topics"
)

// byKey places records with a key as all producers do. A record with a key touches no state of it.
var byKey = kgo.StickyKeyPartitioner(nil).ForTopic("")

// PartitionOf is where the producers of dwell put a key among n partitions: Kafka's murmur2. n is at
// least 1. It may be used by many goroutines.
func PartitionOf(key string, n int32) int32 {
	r := kgo.Record{Key: []byte(key)}
	return int32(byKey.Partition(&r, int(n)))
}

// Range says which part of a topic is read.
type Range struct {
	// Key, unless empty, leaves only the partition in which the key's records lie; each gets the
	// records of other keys in it, too.
	Key string
	// Since, unless zero, leaves out what lies before the first record of that time, by record time.
	Since time.Time
}

// ReadRange is ReadAll for a part of a topic: the committed records that it holds now, partition by
// partition in order.
func ReadRange(ctx context.Context, cfg Config, spec *topics.Spec, r Range, each func(Entry) error) error {
	each, err := unframing(ctx, cfg, spec, each)
	if err != nil {
		return err
	}
	cl, err := cfg.NewClient("dwell-read", kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	start, err := startOffsets(ctx, adm, spec.Name, r.Since)
	end, endErr := adm.ListCommittedOffsets(ctx, spec.Name)
	if endErr == nil {
		endErr = end.Error()
	}
	if err = errors.Join(err, endErr); err != nil {
		return fmt.Errorf("find the ends of %s: %w", spec.Name, err)
	}
	all := end.Offsets().Sorted()
	only := int32(-1)
	if r.Key != "" && len(all) > 0 {
		only = PartitionOf(r.Key, int32(len(all)))
	}
	for _, o := range all {
		if only >= 0 && o.Partition != only {
			continue
		}
		first, _ := start.Lookup(o.Topic, o.Partition)
		if err := readPartition(ctx, cl, o.Topic, o.Partition, first.Offset, o.At, each); err != nil {
			return err
		}
	}
	return nil
}

func startOffsets(ctx context.Context, adm *kadm.Client, topic string, since time.Time) (kadm.ListedOffsets, error) {
	list, err := adm.ListStartOffsets(ctx, topic)
	if err == nil && !since.IsZero() {
		list, err = adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic)
	}
	if err == nil {
		err = list.Error()
	}
	return list, err
}
