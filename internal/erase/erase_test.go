package erase

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func say(t *testing.T, cfg kafka.Config, all ...*schemas.Event) {
	t.Helper()
	out, err := kafka.NewEmitter(cfg, "test", topics.Events)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := out.EmitSync(t.Context(), e.Key(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEraseAnswersForEveryIdOfThePerson(t *testing.T) {
	cfg := livetest.Kafka(t, 4)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	if _, err := Run(short, cfg, Command{Tenant: "demo", User: "nobody"}); !errors.Is(err, ErrUnanswered) {
		t.Fatalf("without a worker: %v", err)
	}
	livetest.Decide(t, cfg, "erase", "")
	say(t, cfg,
		&schemas.Event{Id: "1", Tenant: "demo", AnonymousId: "phone", Type: "track", Name: "bet"},
		&schemas.Event{Id: "2", Tenant: "demo", UserId: "old", AnonymousId: "phone", Type: "identify", Name: "identify"},
		&schemas.Event{Id: "3", Tenant: "demo", UserId: "new", PreviousId: "old", Type: "alias", Name: "alias"},
		&schemas.Event{Id: "4", Tenant: "rival", UserId: "old", Type: "track", Name: "bet"},
	)
	// The claims are under way; the command may overtake them at "old", but it comes to "new" in the end.
	var all []Answer
	for len(all) < 2 {
		var err error
		if all, err = Run(ctx, cfg, Command{Tenant: "demo", User: "old"}); err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 {
			if _, err := Run(ctx, cfg, Command{Tenant: "demo", User: "old", Lift: true}); err != nil {
				t.Fatal(err)
			}
			say(t, cfg, &schemas.Event{Tenant: "demo", UserId: "new", PreviousId: "old", Type: "alias", Name: "alias"})
		}
	}
	if all[0].User != "old" || all[0].Owner != "new" || all[1].User != "new" || all[1].Verdict != engage.Erased {
		t.Errorf("%+v", all)
	}
	lifted, err := Run(ctx, cfg, Command{Tenant: "demo", User: "new", Lift: true})
	if err != nil || len(lifted) != 1 || lifted[0].Verdict != engage.Lifted || lifted[0].Reason != "" {
		t.Errorf("%+v, %v", lifted, err)
	}
	other, err := Run(ctx, cfg, Command{Tenant: "rival", User: "old", Lift: true})
	if err != nil || len(other) != 1 || other[0].Reason == "" {
		t.Errorf("another tenant's user of the same name: %+v, %v", other, err)
	}
}

func TestEraseWantsAUser(t *testing.T) {
	if _, err := Run(t.Context(), kafka.DefaultConfig(), Command{Tenant: "demo"}); err == nil {
		t.Error("nobody is erased")
	}
}
