package main

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/topics"
)

// A run without a fault is right; then everything that can be wrong is made wrong, and must be found.
func TestCheckerSeesEachKindOfDamage(t *testing.T) {
	o := opts(t, "-brokers", "0", "-kills", "0", "-users", "50")
	x, err := setUp(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := x.close(false); err != nil {
			t.Error(err)
		}
	}()
	limit := time.Now().Add(patience)
	for len(x.in.counts.known()) < 2_000 {
		if err := wait(t.Context(), 10*time.Millisecond); err != nil || time.Now().After(limit) {
			t.Fatalf("the input does not come: %v", err)
		}
	}
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := x.check(t.Context()); err != nil || !v.right() || v.users != 50+idlers || v.records < 2_000 {
		t.Fatalf("before the damage: %+v, %v", v, err)
	}
	for _, d := range []struct {
		what string
		send func() []*kgo.Record
		want verdict // besides what came before
	}{
		{"an action again", func() []*kgo.Record { return copies(t, x, topics.Actions.Name, 1) }, verdict{doubled: 1}},
		{"a dead letter again", func() []*kgo.Record { return copies(t, x, topics.DeadLetters.Name, 1) }, verdict{doubled: 1}},
		{"an older row last", func() []*kgo.Record { return copies(t, x, x.table(countName), 1) }, verdict{wrong: 1}},
		{"a row deleted", func() []*kgo.Record {
			r := copies(t, x, x.table(idleName), 1)
			r[0].Value = nil
			return r
		}, verdict{wrong: 1}},
		{"a stranger's row", func() []*kgo.Record {
			r := copies(t, x, x.table(idleName), 1)
			r[0].Key = []byte("acme/nobody")
			return r
		}, verdict{wrong: 1}},
		{"an event that nobody processed", func() []*kgo.Record {
			for x.in.counts.next()%10 != 9 {
				continue
			}
			id := x.in.counts.next()
			x.in.send(&x.in.counts, countTopic, "globex/late", event{ID: id}, time.Now())
			if err := x.in.cl.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			return nil
		}, verdict{wrong: 1, lost: 1}},
		{"an input event again", func() []*kgo.Record { return copies(t, x, pulseTopic, 1) }, verdict{doubled: 1}},
	} {
		before, err := x.check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := x.cl.ProduceSync(t.Context(), d.send()...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		v, err := x.check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := verdict{wrong: v.wrong - before.wrong, lost: v.lost - before.lost, doubled: v.doubled - before.doubled}
		if got.wrong < d.want.wrong || got.lost < d.want.lost || got.doubled < d.want.doubled || d.want.lost+d.want.doubled == 0 && got != d.want {
			t.Errorf("%s: found %v, want %v", d.what, got, d.want)
		}
	}
}

// copies are the first records of a topic, to be sent again to where they lie.
func copies(t *testing.T, x *torture, topic string, n int) (rs []*kgo.Record) {
	t.Helper()
	if err := x.whole(t.Context(), topic, func(r *kgo.Record) error {
		if len(rs) < n {
			rs = append(rs, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
		}
		return nil
	}); err != nil || len(rs) < n {
		t.Fatalf("%d records of %s, %v", len(rs), topic, err)
	}
	return rs
}
