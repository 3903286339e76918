package erase

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/processors/profile"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// profiles runs the processor of the profiles until the test ends.
func profiles(t *testing.T, cfg kafka.Config) {
	t.Helper()
	p, err := stream.New(stream.Config{Kafka: cfg, InstanceID: "profiles", Logger: slog.New(slog.DiscardHandler)}, profile.Processor)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// last is a user's last record among the profiles; there is false where there is none.
func last(t *testing.T, cfg kafka.Config, key string) (value []byte, there bool) {
	t.Helper()
	err := kafka.ReadRange(t.Context(), cfg, topics.Profiles.Spec, kafka.Range{Key: key}, func(e kafka.Entry) error {
		if e.Key == key {
			value, there = slices.Clone(e.Value), true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return value, there
}

func TestAnErasedProfileIsDeletedFromItsTopic(t *testing.T) {
	cfg := livetest.Kafka(t, 4)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	livetest.Decide(t, cfg, "erase", "")
	profiles(t, cfg)
	say(t, cfg,
		&schemas.Event{Id: "1", Tenant: "demo", UserId: "ann", Type: "identify", Name: "identify", Traits: []byte(`{"plan":"gold"}`)},
		&schemas.Event{Id: "2", Tenant: "rival", UserId: "ann", Type: "identify", Name: "identify", Traits: []byte(`{"plan":"free"}`)},
	)
	for _, key := range []string{"demo/ann", "rival/ann"} {
		livetest.Until(t, "the profile of "+key, func() bool { value, _ := last(t, cfg, key); return value != nil })
	}
	if _, err := Run(ctx, cfg, Command{Tenant: "demo", User: "ann"}); err != nil {
		t.Fatal(err)
	}
	livetest.Until(t, "a tombstone", func() bool { value, there := last(t, cfg, "demo/ann"); return there && value == nil })
	if value, _ := last(t, cfg, "rival/ann"); value == nil {
		t.Error("another tenant's user of the same name is gone")
	}
	erased := 0
	err := kafka.ReadAll(ctx, cfg, topics.Traits.Spec, func(e kafka.Entry) error {
		u, err := topics.Traits.Codec.Decode(e.Value)
		if u.GetErased() {
			erased++
		}
		return err
	})
	if err != nil || erased != 1 {
		t.Errorf("the profiles were told %d times, %v", erased, err)
	}
}
