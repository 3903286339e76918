package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/dwellhq/dwell/topics"
)

// Ensure creates the topics that are missing and returns once every broker shows them. A topic that
// exists with another number of partitions than asked is an error: partitions decide where a user's
// row lives, so they are never changed silently.
func Ensure(ctx context.Context, cfg Config, specs ...*topics.Spec) error {
	cl, err := cfg.NewClient("dwell-topics")
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	found, err := listed(ctx, adm)
	if err != nil {
		return err
	}
	var faults []error
	for _, s := range specs {
		want := partitions(cfg, s)
		if t, ok := found[s.Name]; ok {
			if n := int32(len(t.Partitions)); n != want && keyedByUser(s) {
				faults = append(faults, fmt.Errorf("topic %s has %d partitions, not %d: set --partitions %d, or copy it into a new topic with %d", s.Name, n, want, n, want))
			}
			continue
		}
		_, err := adm.CreateTopic(ctx, want, cfg.Replication, settings(s), s.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			faults = append(faults, fmt.Errorf("create topic %s: %w", s.Name, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return visible(ctx, adm, specs)
}

// keyedByUser: the number of partitions is part of the data.
func keyedByUser(s *topics.Spec) bool { return s.Partitions == 0 }

func partitions(cfg Config, s *topics.Spec) int32 {
	if s.Partitions > 0 {
		return int32(s.Partitions)
	}
	return cfg.Partitions
}

func settings(s *topics.Spec) map[string]*string {
	m := map[string]*string{}
	set := func(k, v string) { m[k] = &v }
	if s.Compact {
		set("cleanup.policy", "compact")
	}
	switch {
	case s.Retention == topics.Forever:
		set("retention.ms", "-1")
	case s.Retention > 0:
		set("retention.ms", strconv.FormatInt(s.Retention.Milliseconds(), 10))
	}
	if s.MaxMessageBytes > 0 {
		set("max.message.bytes", strconv.Itoa(s.MaxMessageBytes))
	}
	return m
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
func visible(ctx context.Context, adm *kadm.Client, specs []*topics.Spec) error {
	for {
		found, err := listed(ctx, adm)
		if err != nil {
			return err
		}
		missing := ""
		for _, s := range specs {
			if t, ok := found[s.Name]; !ok || t.Err != nil {
				missing = s.Name
			}
		}
		if missing == "" {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("topic %s was created but does not appear: %w", missing, context.Cause(ctx))
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
