package declare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func file(name, state string, times int) string {
	return fmt.Sprintf(`# a comment
apiVersion: dwell/v1
kind: Campaign
metadata: {name: %s}
spec:
  state: %s   # another
  trigger:
    pattern: {count: {event: bet, times: %d}}
    within: 10m
  channels: [{type: popup, content: x}]
`, name, state, times)
}

func apply(t *testing.T, cfg kafka.Config, tenant string, sources ...string) ([]Change, error) {
	t.Helper()
	var all []*campaign.Campaign
	for _, s := range sources {
		all = append(all, mustParse(t, s))
	}
	return Apply(t.Context(), cfg, tenant, all, false)
}

// catalog is what a worker holds after everything that was declared.
func catalog(t *testing.T, cfg kafka.Config) *engage.Catalog {
	t.Helper()
	w := engage.Processor.Whole[0]
	view := w.Zero()
	err := kafka.Snapshot(t.Context(), cfg, topics.Declarations.Spec, func(e kafka.Entry) {
		next, err := w.Fold(view, e.Key, e.Value)
		if err != nil {
			t.Error(err)
		}
		view = next
	})
	if err != nil {
		t.Fatal(err)
	}
	return view.(*engage.Catalog)
}

func TestEveryVersionStaysReadableAndWorkersDecideByTheLast(t *testing.T) {
	cfg := livetest.Kafka(t, 2)
	for _, times := range []int{1, 2, 1} {
		if _, err := apply(t, cfg, "demo", file("hot", "live", times)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := apply(t, cfg, "shop", file("hot", "live", 9), file("hot2", "live", 3)); err != nil {
		t.Fatal(err)
	}
	all, now, err := History(t.Context(), cfg, "demo", "hot")
	if err != nil || len(all) != 3 || now == nil {
		t.Fatalf("%d versions, %v", len(all), err)
	}
	for i, times := range []int{1, 2, 1} {
		if c, err := all[i].Campaign(); err != nil || c.Trigger.Pattern.Count.Times != times || string(all[i].Source) != file("hot", "live", times) {
			t.Errorf("version %d: %v", i, err)
		}
	}
	if now.Version != all[2].Version || all[0].AppliedMs >= all[1].AppliedMs {
		t.Errorf("in force is %s, versions %v", now.Version, all)
	}
	c := catalog(t, cfg)
	if len(c.Faults()) > 0 {
		t.Errorf("a worker finds faults in versions: %v", c.Faults())
	}
	if c.Campaign("demo", "hot").Trigger.Pattern.Count.Times != 1 || c.Campaign("shop", "hot").Trigger.Pattern.Count.Times != 9 {
		t.Error("a worker decides by another version")
	}
	if mine, err := All(t.Context(), cfg, "shop"); err != nil || len(mine) != 2 || mine[0].Name != "hot" || mine[1].Name != "hot2" {
		t.Errorf("shop has %v, %v", mine, err)
	}
	if _, _, err := History(t.Context(), cfg, "demo", "ho"); !errors.Is(err, ErrUnknown) {
		t.Errorf("another name: %v", err)
	}
}

func TestApplyRefusesAMoveThatIsNotAllowedAndPublishesNothing(t *testing.T) {
	cfg := livetest.Kafka(t, 2)
	if _, err := apply(t, cfg, "demo", file("a", "draft", 1)); err != nil {
		t.Fatal(err)
	}
	_, err := apply(t, cfg, "demo", file("b", "live", 1), file("a", "live", 1))
	if err == nil || !strings.Contains(err.Error(), "shadow") {
		t.Errorf("draft to live: %v", err)
	}
	if all, err := All(t.Context(), cfg, "demo"); err != nil || len(all) != 1 {
		t.Errorf("%d campaigns, %v", len(all), err)
	}
	if ch, err := apply(t, cfg, "demo", file("a", "shadow", 1)); err != nil || ch[0].What != Changed || ch[0].Before == nil {
		t.Errorf("%v, %v", ch, err)
	}
}

func TestALifeFromLiveToArchivedKeepsTheFile(t *testing.T) {
	cfg := livetest.Kafka(t, 2)
	if _, err := apply(t, cfg, "demo", file("a", "live", 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := Move(t.Context(), cfg, "demo", "a", campaign.Archived); err == nil || !strings.Contains(err.Error(), "paused") {
		t.Errorf("live to archived: %v", err)
	}
	for _, to := range []campaign.State{campaign.Paused, campaign.Live, campaign.Paused, campaign.Archived} {
		ch, err := Move(t.Context(), cfg, "demo", "a", to)
		if err != nil || ch.What != Changed {
			t.Fatalf("to %s: %v, %v", to, ch, err)
		}
		_, now, err := History(t.Context(), cfg, "demo", "a")
		if err != nil || string(now.Source) != file("a", string(to), 2) || now.File != "a.yaml" {
			t.Errorf("%s: %v\n%s", to, err, now.Source)
		}
		if c := catalog(t, cfg).Campaign("demo", "a"); c.State != to {
			t.Errorf("a worker has %s, want %s", c.State, to)
		}
	}
	if _, err := Move(t.Context(), cfg, "demo", "a", campaign.Live); err == nil || !strings.Contains(err.Error(), "another metadata.name") {
		t.Errorf("back from the archive: %v", err)
	}
	if ch, err := Move(t.Context(), cfg, "demo", "a", campaign.Archived); err != nil || ch.What != Unchanged {
		t.Errorf("archived again: %v, %v", ch, err)
	}
}

func TestWhatWasDeletedIsGoneForWorkersAndStaysReadable(t *testing.T) {
	cfg := livetest.Kafka(t, 2)
	if _, err := apply(t, cfg, "demo", file("a", "live", 2)); err != nil {
		t.Fatal(err)
	}
	if v, err := Delete(t.Context(), cfg, "demo", "a"); err != nil || v == "" {
		t.Fatal(v, err)
	}
	if c := catalog(t, cfg); c.Campaign("demo", "a") != nil || len(c.Faults()) > 0 {
		t.Error("a worker still has it")
	}
	all, now, err := History(t.Context(), cfg, "demo", "a")
	if err != nil || now != nil || len(all) != 2 || !all[1].Deleted || all[0].Deleted {
		t.Errorf("%v %v %v", all, now, err)
	}
	if _, err := Delete(t.Context(), cfg, "demo", "a"); !errors.Is(err, ErrUnknown) {
		t.Errorf("deleted again: %v", err)
	}
	if _, err := Move(t.Context(), cfg, "demo", "a", campaign.Paused); err == nil || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("paused: %v", err)
	}
	if ch, err := apply(t, cfg, "demo", file("a", "draft", 2)); err != nil || ch[0].What != Created {
		t.Errorf("applied afresh: %v, %v", ch, err)
	}
}

func TestOldVersionsMakeRoom(t *testing.T) {
	cfg := livetest.Kafka(t, 2)
	p, err := newPublisher(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range MaxVersions + 5 {
		c := mustParse(t, file("a", "live", i+1))
		d := &schemas.Declaration{Kind: engage.Kind, Tenant: "demo", Name: "a", Version: c.Version, Source: c.Source, AppliedMs: 5}
		if err := p.publish(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.out.Close(); err != nil {
		t.Fatal(err)
	}
	all, now, err := History(t.Context(), cfg, "demo", "a")
	if err != nil || len(all) != MaxVersions || now.Version != all[MaxVersions-1].Version {
		t.Fatalf("%d versions, %v", len(all), err)
	}
	if !bytes.Equal(all[0].Source, []byte(file("a", "live", 6))) {
		t.Errorf("the oldest is\n%s", all[0].Source)
	}
	if !slices.IsSortedFunc(all, func(a, b Version) int { return int(a.AppliedMs - b.AppliedMs) }) {
		t.Error("one clock made two versions of one time")
	}
}

func TestCampaignOfBeforeHistoriesIsItsOwnFirstVersion(t *testing.T) {
	cfg := livetest.Kafka(t, 2)
	out, err := kafka.NewEmitter(cfg, "old", topics.Declarations)
	if err != nil {
		t.Fatal(err)
	}
	c := mustParse(t, file("a", "live", 2))
	d := &schemas.Declaration{Kind: engage.Kind, Tenant: "demo", Name: "a", Version: c.Version, Source: c.Source, AppliedMs: 5}
	if err := errors.Join(out.EmitSync(t.Context(), keyOf("Campaign", "demo", "a"), d), out.Close()); err != nil {
		t.Fatal(err)
	}
	all, now, err := History(t.Context(), cfg, "demo", "a")
	if err != nil || len(all) != 1 || now == nil || all[0].Version != c.Version {
		t.Errorf("%v %v %v", all, now, err)
	}
	if _, err := apply(t, cfg, "demo", file("a", "live", 3)); err != nil {
		t.Fatal(err)
	}
	if all, _, err = History(t.Context(), cfg, "demo", "a"); err != nil || len(all) != 2 || all[0].Version != c.Version {
		t.Errorf("after the next: %v %v", all, err)
	}
}

func TestAnUnreachableBrokerEndsWithTheContext(t *testing.T) {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:1"}
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if _, err := Apply(ctx, cfg, "demo", nil, false); err == nil {
		t.Error("it went well")
	}
}
