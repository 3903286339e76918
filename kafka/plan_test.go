package kafka

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/dwellhq/dwell/topics"
)

func whats(changes []topics.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.Topic+":"+string(c.What)+":"+c.Setting)
	}
	return strings.Join(all, " ")
}

func (w *world) plan(specs ...*topics.Spec) []topics.Change {
	w.Helper()
	changes, err := Plan(w.ctx, w.cfg, specs...)
	if err != nil {
		w.Fatal(err)
	}
	return changes
}

func TestApplyDoesWhatWasPlannedAndThenNothingIsLeft(t *testing.T) {
	for _, c := range []struct {
		brokers     int
		replication int16
		insync      string
	}{{1, -1, "1"}, {3, 3, "2"}, {3, -1, "2"}} {
		w := newWorld(t, kfake.NumBrokers(c.brokers))
		w.cfg.Replication = c.replication
		specs := append(topics.Builtin(), topics.Table("engage", 2<<20))
		w.make(topics.Events.Name, 4, -1, map[string]string{"retention.ms": "1000", "max.message.bytes": "2000", "retention.bytes": "-1"})
		w.make("dwell.engage-table", 4, -1, map[string]string{"cleanup.policy": "delete"})
		changes := w.plan(specs...)
		if topics.Is(changes, topics.Refused) || topics.Is(changes, topics.Warned) || len(changes) < len(specs) {
			t.Fatalf("plan: %v", changes)
		}
		if err := Apply(w.ctx, w.cfg, changes); err != nil {
			t.Fatal(err)
		}
		if again := w.plan(specs...); len(again) != 0 {
			t.Errorf("%d brokers: planned again: %v", c.brokers, again)
		}
		month := "2592000000"
		w.has(topics.Events.Name, 4, map[string]string{"cleanup.policy": "delete", "retention.ms": month, "max.message.bytes": "1000012", "min.insync.replicas": c.insync})
		w.has(topics.Frames.Name, 4, map[string]string{"cleanup.policy": "delete", "retention.ms": month, "min.insync.replicas": c.insync})
		w.has(topics.Declarations.Name, 1, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": month})
		w.has(topics.WriteKeys.Name, 1, map[string]string{"cleanup.policy": "compact", "min.insync.replicas": c.insync})
		w.has(topics.DeadLetters.Name, 1, map[string]string{"max.message.bytes": "4194304"})
		w.has("dwell.engage-table", 4, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "2162688"})
	}
}

func TestPlanChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.make("a", 4, -1, map[string]string{"retention.ms": "1000"})
	if got := whats(w.plan(stream("a"), stream("b"))); got != "a:set-config:retention.ms b:create:" {
		t.Errorf("plan: %s", got)
	}
	w.has("a", 4, map[string]string{"retention.ms": "1000"})
	list, err := w.adm.ListTopics(w.ctx)
	if err != nil || !slices.Equal(list.Names(), []string{"a"}) {
		t.Errorf("topics: %v %v", list.Names(), err)
	}
}

func TestRefusalKeepsEverythingAsItIs(t *testing.T) {
	for name, act := range map[string]func(*world, ...*topics.Spec) error{
		"ensure": func(w *world, specs ...*topics.Spec) error { return Ensure(w.ctx, w.cfg, specs...) },
		"apply":  func(w *world, specs ...*topics.Spec) error { return Apply(w.ctx, w.cfg, w.plan(specs...)) },
	} {
		w := newWorld(t)
		w.make("a", 3, -1, map[string]string{"retention.ms": "1000"})
		w.make("dwell.p-table", 2, -1, map[string]string{"cleanup.policy": "compact"})
		err := act(w, stream("new"), stream("a"), topics.Table("p", 0))
		for _, part := range []string{"topic a has 3 partitions, not 4", "--partitions 3", "topic dwell.p-table has 2 partitions, not 4"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v lacks %q", name, err, part)
			}
		}
		w.has("a", 3, map[string]string{"retention.ms": "1000"})
		if list, err := w.adm.ListTopics(w.ctx); err != nil || list.Has("new") {
			t.Errorf("%s: a topic was created beside a refused one: %v", name, err)
		}
	}
}

func TestEnsureCreatesWhatIsMissingAndLeavesTheRest(t *testing.T) {
	w := newWorld(t)
	w.make("a", 4, -1, map[string]string{"retention.ms": "1000", "cleanup.policy": "compact"})
	for range 2 { // the second time there is nothing to do
		if err := Ensure(w.ctx, w.cfg, stream("a"), stream("b"), &topics.Spec{Name: "c", Partitions: 1, Compact: true}); err != nil {
			t.Fatal(err)
		}
		w.has("a", 4, map[string]string{"retention.ms": "1000", "cleanup.policy": "compact"})
		w.has("b", 4, map[string]string{"retention.ms": "86400000", "cleanup.policy": "delete"})
		w.has("c", 1, map[string]string{"cleanup.policy": "compact"})
	}
}

func TestWholeTopicInPiecesIsRefused(t *testing.T) {
	w := newWorld(t)
	w.make("keys", 2, -1, map[string]string{"cleanup.policy": "compact"})
	err := Ensure(w.ctx, w.cfg, &topics.Spec{Name: "keys", Partitions: 1, Compact: true})
	if err == nil || !strings.Contains(err.Error(), "topic keys has 2 partitions, not 1") {
		t.Errorf("Ensure: %v", err)
	}
}

func TestApplyNamesWhatFailed(t *testing.T) {
	w := newWorld(t)
	w.cfg.Replication = 3 // one broker cannot
	changes := w.plan(stream("a"))
	changes = append(changes, topics.Change{Topic: "gone", What: topics.ToSet, Setting: "retention.ms", To: "1"})
	err := Apply(w.ctx, w.cfg, changes)
	if err == nil || !strings.Contains(err.Error(), "create topic a") || !strings.Contains(err.Error(), "configure topic gone") {
		t.Errorf("Apply: %v", err)
	}
}
