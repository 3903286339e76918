package behind

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwellhq/dwell/kafka/stream/broker"
)

// brokers answer what they are told to.
type brokers struct {
	err   error
	spans map[string]map[int32]broker.Span
	asked atomic.Int64
}

// Decided implements Ends.
func (b *brokers) Decided(_ context.Context, topics ...string) (map[string]map[int32]broker.Span, error) {
	b.asked.Add(1)
	if !reflect.DeepEqual(topics, []string{"rules", "people"}) {
		return nil, errors.New("other topics are asked for")
	}
	return b.spans, b.err
}

func watch(next *map[int32]int64, now *time.Time) *Watch {
	w := New(slog.New(slog.DiscardHandler), []Source{
		{"rules", func() map[int32]int64 { return map[int32]int64{0: 7} }},
		{"people", func() map[int32]int64 { return *next }},
	})
	w.now = func() time.Time { return *now }
	return w
}

func TestLagIsWhatTheCopiesLack(t *testing.T) {
	next, now := map[int32]int64{1: 10, 3: 0}, time.Unix(1000, 0)
	w := watch(&next, &now)
	expect := func(what string, want ...Topic) {
		t.Helper()
		if got := w.Topics(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		for _, topic := range want {
			if got := w.Lag(topic.Topic); got != topic.Lag {
				t.Errorf("%s: lag of %s is %d", what, topic.Topic, got)
			}
		}
	}
	b := &brokers{spans: map[string]map[int32]broker.Span{
		"rules": {0: {Start: 0, End: 7}}, "people": {0: {Start: 0, End: 1000}, 1: {Start: 0, End: 15}, 2: {}, 3: {Start: 40, End: 42}},
	}}
	expect("nobody asked", Topic{"rules", 1, Unknown}, Topic{"people", 2, Unknown})
	w.ask(t.Context(), b)
	expect("asked", Topic{"rules", 1, 0}, Topic{"people", 2, 5 + 2})
	next = map[int32]int64{1: 20, 3: 42} // read on since
	expect("caught up", Topic{"rules", 1, 0}, Topic{"people", 2, 0})
	next = nil // nothing is assigned
	expect("nothing assigned", Topic{"rules", 1, 0}, Topic{"people", 0, 0})
	next = map[int32]int64{9: 0} // a partition that is newer than the answer
	expect("a new partition", Topic{"rules", 1, 0}, Topic{"people", 1, Unknown})
	next = map[int32]int64{1: 10}
	b.err = errors.New("away")
	now = now.Add(stale)
	w.ask(t.Context(), b)
	expect("brokers away", Topic{"rules", 1, 0}, Topic{"people", 1, 5})
	now = now.Add(time.Millisecond)
	expect("brokers away for long", Topic{"rules", 1, Unknown}, Topic{"people", 1, Unknown})
	if w.Lag("strangers") != Unknown {
		t.Error("the lag of a topic that nobody follows is known")
	}
}

func TestRunAsksUntilItsEnd(t *testing.T) {
	next, now := map[int32]int64{}, time.Unix(1000, 0)
	w, b := watch(&next, &now), &brokers{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, b) }()
	for end := time.Now().Add(time.Minute); b.asked.Load() < 2; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not ask")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := New(nil, nil).Run(t.Context(), nil); err != nil {
		t.Errorf("with nothing to follow: %v", err)
	}
}
