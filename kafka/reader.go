package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// ReadAll hands every committed record that a topic holds now to each, partition by partition in
// order. An error of each ends it.
func ReadAll(ctx context.Context, cfg Config, spec *topics.Spec, each func(Entry) error) error {
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
	start, err := adm.ListStartOffsets(ctx, spec.Name)
	if err == nil {
		err = start.Error()
	}
	end, endErr := adm.ListCommittedOffsets(ctx, spec.Name)
	if err = errors.Join(err, endErr); err != nil {
		return fmt.Errorf("find the ends of %s: %w", spec.Name, err)
	}
	for _, o := range end.Offsets().Sorted() {
		first, _ := start.Lookup(o.Topic, o.Partition)
		if err := readPartition(ctx, cl, o.Topic, o.Partition, first.Offset, o.At, each); err != nil {
			return err
		}
	}
	return nil
}

// unframing hands values on without the wire format of a schema registry. One that nobody can take out
// of it stays as it is.
func unframing(ctx context.Context, cfg Config, spec *topics.Spec, each func(Entry) error) (func(Entry) error, error) {
	if !spec.Framed || len(cfg.Registry) == 0 {
		return each, nil
	}
	u, err := NewUnframer(cfg)
	if err != nil {
		return nil, err
	}
	return func(e Entry) error {
		payload, err := u.Value(ctx, spec, e.Value)
		switch {
		case errors.Is(err, ErrRegistry):
			return err
		case err == nil:
			e.Value = payload
		}
		return each(e)
	}, nil
}

func readPartition(ctx context.Context, cl *kgo.Client, topic string, partition int32, from, to int64, each func(Entry) error) error {
	if from >= to {
		return nil
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}})
	defer cl.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
	for at := from; at < to; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return fmt.Errorf("read %s/%d at offset %d: %w", topic, partition, at, err)
		}
		for _, r := range fs.Records() {
			if r.Partition != partition || r.Offset >= to {
				continue
			}
			at = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			e := Entry{Key: string(r.Key), Value: r.Value, At: schemas.Coordinates{Topic: topic, Partition: partition, Offset: r.Offset}, Time: r.Timestamp}
			if err := each(e); err != nil {
				return fmt.Errorf("%s: %w", e.At, err)
			}
		}
	}
	return nil
}
