package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/dwellhq/dwell/topics"
)

// Ends are the offsets at which the partitions of a topic end now: what was acknowledged before lies
// below them.
func Ends(ctx context.Context, cfg Config, spec *topics.Spec) (map[int32]int64, error) {
	cl, err := cfg.NewClient("dwell-ends")
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	list, err := kadm.NewClient(cl).ListEndOffsets(ctx, spec.Name)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("find the ends of %s: %w", spec.Name, err)
	}
	ends := map[int32]int64{}
	list.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// Behind is how many offsets a processor's group still has to commit to reach the ends; 0: it has
// committed all that lies below them. A group that never committed is behind by everything.
func Behind(ctx context.Context, cfg Config, processor string, spec *topics.Spec, ends map[int32]int64) (int64, error) {
	cl, err := cfg.NewClient("dwell-behind")
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	group := "dwell." + processor
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return 0, fmt.Errorf("find what %s has committed: %w", group, err)
	}
	start, err := adm.ListStartOffsets(ctx, spec.Name)
	if err == nil {
		err = start.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("find the starts of %s: %w", spec.Name, err)
	}
	behind := int64(0)
	for p, end := range ends {
		at := int64(0)
		if first, ok := start.Lookup(spec.Name, p); ok { // retention may have taken what nobody read
			at = first.Offset
		}
		if o, ok := committed.Lookup(spec.Name, p); ok && o.Err == nil {
			at = max(at, o.At)
		}
		behind += max(0, end-at)
	}
	return behind, nil
}
