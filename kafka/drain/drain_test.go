package drain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/kafka/drain"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/sinks/sinktest"
)

func TestEachRecordLandsOnceAndIsConfirmed(t *testing.T) {
	b := startBroker(t, 3)
	m := &sinktest.Memory{}
	var all []string
	for p := range int32(3) {
		vs := values(fmt.Sprint("p", p, "-"), 100)
		b.produce(t, p, vs...)
		all = append(all, vs...)
	}
	d, stop := b.run(t, b.pipeline(m))
	<-d.Ready()
	eventually(t, "all land", func() error { return once(m.Records(), all) })
	eventually(t, "all is confirmed at once when idle", func() error {
		for p := range int32(3) {
			if at, meta := b.offset(t, p); at != 100 || meta != "v1;pending=[]" {
				return fmt.Errorf("partition %d: commit %d %s", p, at, meta)
			}
		}
		return nil
	})
	for _, s := range d.Status() {
		if s.State != drain.Draining || s.Confirmed != 100 || s.Rows != 100 || s.Fault != "" {
			t.Errorf("status = %+v", s)
		}
	}
	stop()
	if s := d.Status(); len(s) != 0 {
		t.Errorf("after the end it still owns %v", s)
	}
}

func TestIntentIsInTheLogBeforeTheInsert(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	type seen struct{ batch, meta string }
	var inserts []seen
	m.Fail(func(_ int, x sinks.Batch) (error, error) {
		_, meta := b.offset(t, 0)
		inserts = append(inserts, seen{fmt.Sprintf("v1;pending=[%d-%d]", x.First, x.Last), meta})
		return nil, nil
	})
	vs := values("v", 40)
	b.produce(t, 0, vs...)
	_, stop := b.run(t, b.pipeline(m))
	eventually(t, "all land", func() error { return once(m.Records(), vs) })
	stop()
	if len(inserts) == 0 {
		t.Fatal("no insert")
	}
	for _, s := range inserts {
		if s.batch != s.meta {
			t.Errorf("inserting %s while the log says %s", s.batch, s.meta)
		}
	}
}

func TestPendingRangesAreRebuiltExactly(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	vs := values("v", 50)
	b.produce(t, 0, vs...)
	var sent []string
	m.Fail(func(_ int, x sinks.Batch) (error, error) {
		sent = append(sent, fmt.Sprintf("%d-%d %d %t", x.First, x.Last, x.Len(), x.Replay))
		return nil, nil
	})
	b.commit(t, 0, 10, "v1;pending=[10-12,13-30]")
	d, stop := b.run(t, b.pipeline(m))
	<-d.Ready()
	eventually(t, "the rest lands", func() error { return once(m.Records(), vs[10:]) })
	stop()
	if len(sent) < 3 || sent[0] != "10-12 3 true" || sent[1] != "13-30 18 true" || !strings.HasPrefix(sent[2], "31-") || !strings.HasSuffix(sent[2], "false") {
		t.Errorf("sent %q", sent)
	}
}

func TestFailuresOfEveryKindChangeNoCount(t *testing.T) {
	b := startBroker(t, 2)
	m := &sinktest.Memory{}
	m.Fail(func(n int, _ sinks.Batch) (error, error) {
		switch n % 3 {
		case 0:
			return nil, fmt.Errorf("%w: connection lost after the insert", sinks.ErrRetry)
		case 1:
			return fmt.Errorf("%w: connection refused", sinks.ErrRetry), nil
		}
		return nil, nil
	})
	a, c := values("a", 60), values("c", 60)
	b.produce(t, 0, a...)
	b.produce(t, 1, c...)
	b.run(t, b.pipeline(m))
	eventually(t, "all land", func() error { return once(m.Records(), a, c) })
}

func TestRestartsAndRefusedCommitsChangeNoCount(t *testing.T) {
	b := startBroker(t, 2)
	m := &sinktest.Memory{}
	m.Fail(func(n int, _ sinks.Batch) (error, error) {
		if n%4 == 0 {
			return nil, fmt.Errorf("%w: no answer", sinks.ErrRetry)
		}
		return nil, nil
	})
	var all []string
	for life := range 8 {
		_, stop := b.run(t, b.pipeline(m))
		for p := range int32(2) {
			vs := values(fmt.Sprintf("life%d-p%d-", life, p), 40)
			b.produce(t, p, vs...)
			all = append(all, vs...)
		}
		least := len(all) * life / 8 // stop in the middle of it
		eventually(t, "some land", func() error {
			if n := len(m.Records()); n < least {
				return fmt.Errorf("%d of %d", n, least)
			}
			return nil
		})
		stop()
	}
	_, _ = b.run(t, b.pipeline(m))
	eventually(t, "all land", func() error { return once(m.Records(), all) })
}

func TestPartitionsMoveBetweenInstancesWithoutLossOrDouble(t *testing.T) {
	b := startBroker(t, 4)
	m := &sinktest.Memory{}
	var all []string
	add := func(name string) {
		for p := range int32(4) {
			vs := values(fmt.Sprintf("%s-p%d-", name, p), 60)
			b.produce(t, p, vs...)
			all = append(all, vs...)
		}
	}
	add("one")
	one, stopOne := b.run(t, b.pipeline(m))
	<-one.Ready()
	add("two")
	two, stopTwo := b.run(t, b.pipeline(m))
	<-two.Ready()
	eventually(t, "both own partitions", func() error {
		if a, b := len(one.Status()), len(two.Status()); a != 2 || b != 2 {
			return fmt.Errorf("%d and %d", a, b)
		}
		return nil
	})
	add("three")
	stopOne()
	add("four")
	eventually(t, "the other takes over", func() error {
		if n := len(two.Status()); n != 4 {
			return fmt.Errorf("owns %d", n)
		}
		return nil
	})
	eventually(t, "all land", func() error { return once(m.Records(), all) })
	stopTwo()
}

func TestPoisonGoesToTheDeadLettersAndTheRestLands(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	good := values("v", 5)
	b.produce(t, 0, "poison one", good[0], good[1], "panic two", good[2], good[3], good[4])
	b.produce(t, 0, "poison three")
	d, stop := b.run(t, b.pipeline(m))
	eventually(t, "the good land", func() error { return once(m.Records(), good) })
	eventually(t, "all is confirmed", func() error {
		if at, _ := b.offset(t, 0); at != 8 {
			return fmt.Errorf("commit %d", at)
		}
		return nil
	})
	if s := d.Status(); len(s) != 1 || s[0].Poison != 3 || s[0].State != drain.Draining {
		t.Errorf("status = %+v", s)
	}
	stop()
	var got []string
	for _, l := range b.letters(t) {
		got = append(got, fmt.Sprintf("%s/%d/%d %s %s %t", l.Topic, l.Partition, l.Offset, l.Value, l.By, l.Stack != ""))
		if l.Error == "" || l.TimeMs == 0 {
			t.Errorf("letter %v", l)
		}
	}
	want := []string{
		b.source.Name + "/0/0 poison one dwell.sink-" + b.name + " false",
		b.source.Name + "/0/3 panic two dwell.sink-" + b.name + " true",
		b.source.Name + "/0/7 poison three dwell.sink-" + b.name + " false",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("dead letters:\n%s", strings.Join(got, "\n"))
	}
}

func TestAbortedRecordsDoNotLandAndMarkersAreConfirmed(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	kept := values("kept", 10)
	b.transaction(t, 0, true, kept[:5]...)
	b.transaction(t, 0, false, values("gone", 20)...)
	b.transaction(t, 0, true, kept[5:]...)
	b.transaction(t, 0, false, values("gone too", 3)...)
	b.run(t, b.pipeline(m))
	eventually(t, "the committed land", func() error { return once(m.Records(), kept) })
	ends, err := b.adm.ListEndOffsets(t.Context(), b.source.Name)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(b.source.Name, 0)
	eventually(t, "the markers are confirmed", func() error {
		if at, _ := b.offset(t, 0); at != end.Offset {
			return fmt.Errorf("commit %d, end %d", at, end.Offset)
		}
		return nil
	})
}

func TestSinkThatIsAwayHoldsTheLineAndMemory(t *testing.T) {
	b := startBroker(t, 1)
	m := &sinktest.Memory{}
	m.Fail(func(int, sinks.Batch) (error, error) { return fmt.Errorf("%w: away", sinks.ErrRetry), nil })
	big := strings.Repeat("x", 10_000)
	var all []string
	for i := range 500 {
		all = append(all, fmt.Sprint(i, big))
	}
	p := b.pipeline(m)
	p.Batch.Bytes = 100_000
	d, _ := b.run(t, p)
	b.produce(t, 0, all...)
	eventually(t, "it waits", func() error {
		if s := d.Status(); len(s) != 1 || s[0].State != drain.Waiting || s[0].Fault == "" || m.Attempts() < 4 {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	if at, meta := b.offset(t, 0); at != 0 || !strings.HasPrefix(meta, "v1;pending=[0-") {
		t.Errorf("commit %d %s while nothing was acknowledged", at, meta)
	}
	m.Fail(nil)
	eventually(t, "all land", func() error { return once(m.Records(), all) })
}

func TestRefusalStopsOnePartitionAndSaysWhy(t *testing.T) {
	b := startBroker(t, 2)
	m := &sinktest.Memory{}
	m.Fail(func(_ int, x sinks.Batch) (error, error) {
		if x.Partition == 0 {
			return errors.New("no such table: run dwell sink migrate"), nil
		}
		return nil, nil
	})
	b.produce(t, 0, values("a", 10)...)
	c := values("c", 10)
	b.produce(t, 1, c...)
	d, stop := b.run(t, b.pipeline(m))
	eventually(t, "the other goes on", func() error { return once(m.Records(), c) })
	eventually(t, "one stops", func() error {
		for _, s := range d.Status() {
			if s.Partition == 0 && s.State == drain.Stopped && strings.Contains(s.Fault, "dwell sink migrate") {
				return nil
			}
		}
		return fmt.Errorf("status %+v", d.Status())
	})
	stop()
	m.Fail(nil)
	b.run(t, b.pipeline(m))
	eventually(t, "a restart completes it", func() error { return once(m.Records(), c, values("a", 10)) })
}
