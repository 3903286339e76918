package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/dwellhq/dwell/topics"
)

// Ensure creates the topics that are missing and returns once every broker shows them. Topics that
// exist stay as they are: their configuration is dwell topics' business. One whose number of partitions
// is not as declared is an error where that matters, and then nothing is created: partitions decide
// where a user's row lives, so they are never changed silently.
func Ensure(ctx context.Context, cfg Config, specs ...*topics.Spec) error {
	cl, err := cfg.NewClient("dwell-topics")
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	list, err := listed(ctx, adm)
	if err != nil {
		return err
	}
	found := layouts(list, specs)
	own := cluster(ctx, cfg, adm, len(found) < len(specs))
	changes := topics.Plan(specs, own, found)
	if err := refusals(changes); err != nil {
		return err
	}
	made, err := create(ctx, adm, changes)
	if err != nil {
		return err
	}
	if len(made) == 0 {
		return nil
	}
	if list, err = visible(ctx, adm, made); err != nil {
		return err
	}
	// Somebody else may have created one at the same time, by other settings.
	return refusals(topics.Plan(specs, own, layouts(list, specs)))
}

// listed retries for as long as ctx allows: a broker that is still starting is no error.
func listed(ctx context.Context, adm *kadm.Client) (kadm.TopicDetails, error) {
	for {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		found, err := adm.ListTopics(one)
		cancel()
		if err == nil {
			return found, nil
		}
		if !pause(ctx, 250*time.Millisecond) {
			return nil, fmt.Errorf("list topics: %w", errors.Join(err, context.Cause(ctx)))
		}
	}
}

// visible waits: on a real cluster a topic appears a moment after CreateTopics answered.
func visible(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	for {
		found, err := listed(ctx, adm)
		if err != nil {
			return nil, err
		}
		missing := ""
		for _, name := range names {
			if t, ok := found[name]; !ok || t.Err != nil {
				missing = name
			}
		}
		if missing == "" {
			return found, nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return nil, fmt.Errorf("topic %s was created but does not appear: %w", missing, context.Cause(ctx))
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
