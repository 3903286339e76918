package drain_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka/drain"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/sinks/sinktest"
)

// stopped waits until the partition's fault mentions all words.
func stopped(t *testing.T, d *drain.Drain, words ...string) {
	t.Helper()
	eventually(t, "the partition stops", func() error {
		s := d.Status()
		if len(s) != 1 || s[0].State != drain.Stopped {
			return fmt.Errorf("status %+v", s)
		}
		for _, w := range words {
			if !strings.Contains(s[0].Fault, w) {
				return fmt.Errorf("fault %q does not mention %q", s[0].Fault, w)
			}
		}
		return nil
	})
}

func (b *broker) deleteBefore(t *testing.T, at int64) {
	t.Helper()
	os := kadm.Offsets{}
	os.Add(kadm.Offset{Topic: b.source.Name, Partition: 0, At: at})
	if _, err := b.adm.DeleteRecords(t.Context(), os); err != nil {
		t.Fatal(err)
	}
}

func TestRetentionThatPassedTheOffsetStopsThePartition(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	b.produce(t, 0, values("v", 30)...)
	b.commit(t, 0, 5, "v1;pending=[]")
	b.deleteBefore(t, 20)
	d, stop := b.run(t, b.pipeline(m))
	stopped(t, d, "no longer holds offset 5", "restate")
	stop()
	if at, _ := b.offset(t, 0); at != 5 || len(m.Records()) != 0 {
		t.Errorf("commit %d, %d records landed: it reset by itself", at, len(m.Records()))
	}
}

func TestRetentionThatPassedAPendingRangeStopsThePartition(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	b.produce(t, 0, values("v", 30)...)
	b.commit(t, 0, 5, "v1;pending=[5-25]")
	b.deleteBefore(t, 20)
	d, _ := b.run(t, b.pipeline(m))
	stopped(t, d, "no longer holds offset 5")
	if m.Attempts() != 0 {
		t.Error("part of a range was sent")
	}
}

func TestRangeThatCannotBeBuiltAgainIsNotSent(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	b.transaction(t, 0, true, values("v", 3)...) // offset 3 is the marker
	b.produce(t, 0, values("w", 5)...)
	b.commit(t, 0, 1, "v1;pending=[1-3]")
	d, _ := b.run(t, b.pipeline(m))
	stopped(t, d, "1-3", "cannot be built again")
	if m.Attempts() != 0 {
		t.Error("part of a range was sent")
	}
}

func TestForeignMetadataStopsThePartition(t *testing.T) {
	b := startBroker(t, 1)
	b.produce(t, 0, values("v", 3)...)
	b.commit(t, 0, 1, "some other client")
	d, _ := b.run(t, b.pipeline(&sinktest.Memory{}))
	stopped(t, d, "some other client", "sink_ledger")
}

func TestOffsetSetByAnOperatorIsTaken(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	vs := values("v", 30)
	b.produce(t, 0, vs...)
	b.commit(t, 0, 12, "")
	b.run(t, b.pipeline(m))
	eventually(t, "the rest lands", func() error { return once(m.Records(), vs[12:]) })
}

func TestForgottenGroupIsRefused(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	vs := values("v", 30)
	b.produce(t, 0, vs...)
	_, stop := b.run(t, b.pipeline(m))
	eventually(t, "all land", func() error { return once(m.Records(), vs) })
	stop()
	if _, err := b.adm.DeleteGroup(t.Context(), "dwell.sink-"+b.name); err != nil {
		t.Fatal(err)
	}
	d, _ := b.run(t, b.pipeline(m))
	stopped(t, d, "holds no offset", "to 30")
	if err := once(m.Records(), vs); err != nil {
		t.Error(err)
	}
}

func TestFencedCommitDropsThePartition(t *testing.T) {
	b := startBroker(t, 1)
	b.fake(t)
	m := &sinktest.Memory{}
	vs := values("v", 30)
	b.produce(t, 0, vs...)
	var fenced atomic.Int32
	b.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if fenced.Add(1) > 1 {
			return nil, nil, false
		}
		return answer(r.(*kmsg.OffsetCommitRequest), kerr.IllegalGeneration), nil, true
	})
	d, stop := b.run(t, b.pipeline(m))
	eventually(t, "the commit is refused", func() error {
		if fenced.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	<-d.Ready()
	stop()
	if m.Attempts() != 0 {
		t.Errorf("a fenced owner inserted %d times", m.Attempts())
	}
	b.run(t, b.pipeline(m))
	eventually(t, "the next owner lands all", func() error { return once(m.Records(), vs) })
}

// answer refuses every partition of a commit.
func answer(r *kmsg.OffsetCommitRequest, err *kerr.Error) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, err.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func TestCommitsOfUnknownFateOrMovedCoordinatorChangeNoCount(t *testing.T) {
	b := startBroker(t, 2)
	b.fake(t)
	m := &sinktest.Memory{}
	var n, lost atomic.Int32
	b.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		switch k := n.Add(1); {
		case k%7 == 0 && lost.Load() < 6:
			lost.Add(1)
			return nil, errors.New("cut the connection"), true
		case k%5 == 0:
			return answer(r.(*kmsg.OffsetCommitRequest), kerr.NotCoordinator), nil, true
		}
		return nil, nil, false
	})
	var all []string
	for p := range int32(2) {
		vs := values(fmt.Sprint("p", p, "-"), 200)
		b.produce(t, p, vs...)
		all = append(all, vs...)
	}
	b.run(t, b.pipeline(m))
	eventually(t, "all land", func() error { return once(m.Records(), all) })
	if lost.Load() == 0 {
		t.Error("no commit was lost: the test shows nothing")
	}
}

func TestCheckThatRefusesEndsTheRun(t *testing.T) {
	b := startBroker(t, 1)
	d, err := drain.New(b.cfg, b.pipeline(refusing{&sinktest.Memory{}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "window is short") {
		t.Errorf("run = %v", err)
	}
}

type refusing struct{ *sinktest.Memory }

func (refusing) Check(context.Context) error { return errors.New("window is short") }

func TestNewReportsEveryFault(t *testing.T) {
	cfg := drain.DefaultConfig()
	cfg.Kafka.Brokers, cfg.Backoff = nil, 0
	_, err := drain.New(cfg, sinks.Pipeline{Name: "a"}, sinks.Pipeline{Name: "a"})
	for _, want := range []string{"brokers", "backoff", "topic", "given twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
	if _, err := drain.New(drain.DefaultConfig()); err == nil {
		t.Error("a drain without pipelines")
	}
}
