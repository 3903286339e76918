package broker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka"
)

func admin(t *testing.T) (*Admin, kafka.Config) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "table"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return adminOf(t, c)
}

func adminOf(t *testing.T, c *kfake.Cluster) (*Admin, kafka.Config) {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = c.ListenAddrs()
	a, err := New(cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a, cfg
}

// open leaves a transaction open on a partition of the table.
func open(t *testing.T, cfg kafka.Config, id string, partition int32) *kgo.Client {
	t.Helper()
	cl, err := cfg.NewClient(id, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "table", Partition: partition, Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return cl
}

func TestFenceTouchesDeadInstancesOfItsGroupOnly(t *testing.T) {
	a, cfg := admin(t)
	own, dead := open(t, cfg, "dwell.g-own", 0), open(t, cfg, "dwell.g-dead", 0)
	other, elsewhere := open(t, cfg, "dwell.h-x", 0), open(t, cfg, "dwell.g-else", 1)
	a.Fence(t.Context(), slog.New(slog.DiscardHandler), "table", []int32{0}, "dwell.g-", "dwell.g-own")
	for name, cl := range map[string]*kgo.Client{"own": own, "another group's": other, "another partition's": elsewhere} {
		if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Errorf("%s transaction: %v", name, err)
		}
	}
	if err := dead.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("the dead one's transaction was committed")
	}
	spans, err := a.Decided(t.Context(), "table")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		whole, err := a.Span(t.Context(), "table", p)
		if err != nil || spans["table"][p] != whole {
			t.Errorf("partition %d: %+v of %+v is decided, %v", p, spans["table"][p], whole, err)
		}
	}
}

func TestDecidedEndsBeforeAnOpenTransaction(t *testing.T) {
	a, cfg := admin(t)
	open(t, cfg, "dwell.g-x", 0)
	spans, err := a.Decided(t.Context(), "table")
	if err != nil || spans["table"][0].End != 0 {
		t.Errorf("decided: %+v %v", spans, err)
	}
	if s, err := a.Span(t.Context(), "table", 0); err != nil || s.End != 1 {
		t.Errorf("whole: %+v %v", s, err)
	}
}

func TestTopicIsCreatedOnceAndAMissingOneIsNamed(t *testing.T) {
	a, _ := admin(t)
	start := time.Now()
	if _, _, err := a.Topic(t.Context(), "none", 0); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a missing topic: %v", err)
	}
	if time.Since(start) > 2*time.Second {
		t.Error("it was waited for")
	}
	for range 2 {
		if err := a.Create(t.Context(), "new", 3, map[string]string{"cleanup.policy": "compact"}); err != nil {
			t.Fatal(err)
		}
	}
	id, n, err := a.Topic(t.Context(), "new", time.Minute)
	if err != nil || n != 3 || id == [16]byte{} {
		t.Errorf("topic %x with %d partitions, %v", id, n, err)
	}
}

// The brokers stand still for longer than a topic may take to appear: that it did not, meanwhile, says
// nothing (torture, seed 3777929953163663157: both workers ended when that came right after their start).
func TestTopicMayAppearAfterTheBrokersStoodStill(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	a, _ := adminOf(t, c)
	const wait = 500 * time.Millisecond
	asked := 0
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if len(req.(*kmsg.MetadataRequest).Topics) == 0 {
			return nil, nil, false
		}
		if asked++; asked == 2 {
			c.SleepControl(func() { <-time.After(2 * wait) })
		}
		if asked == 3 {
			c.SleepControl(func() {
				if err := a.Create(t.Context(), "new", 1, nil); err != nil {
					t.Error(err)
				}
			})
		}
		return nil, nil, false
	})
	if _, n, err := a.Topic(t.Context(), "new", wait); err != nil || n != 1 {
		t.Errorf("%d partitions, %v, asked %d times", n, err, asked)
	}
}

func TestQuestionsEndWithTheirContext(t *testing.T) {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:1"}
	a, err := New(cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Span(ctx, "table", 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Span: %v", err)
	}
}
