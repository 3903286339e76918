// Package behind says how far a worker's copies of what its processor follows are behind: whole topics,
// and the tables of other processors.
//
// What enters are the positions of the copies, and where the topics end, which brokers are asked every
// other second; what leaves is how many records each copy lacks.
package behind

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dwellhq/dwell/kafka/stream/broker"
)

const (
	// every is how often brokers are asked, askTime how long they may take.
	every, askTime = 2 * time.Second, time.Second
	// stale is the age beyond which an answer says nothing of now.
	stale = 10 * time.Second
)

// Unknown is a lag that nobody knows.
const Unknown = -1

// Source is one topic that is followed.
type Source struct {
	Topic string
	// Next is the first offset of each followed partition that is not in force here. It may be called at
	// any time.
	Next func() map[int32]int64
}

// Topic says how far the copy of one is behind.
type Topic struct {
	Topic string
	// Partitions of it that are followed here.
	Partitions int
	// Lag is how many offsets of these partitions are not in force here, about two seconds ago at most: an
	// upper bound of the records. Unknown when no broker has said for ten seconds where they end.
	Lag int64
}

// Ends are what brokers are asked: broker.Admin.
type Ends interface {
	// Decided returns the spans of all partitions of topics up to the last stable offset.
	Decided(ctx context.Context, topics ...string) (map[string]map[int32]broker.Span, error)
}

// Watch compares. Its methods may be called by many goroutines.
type Watch struct {
	sources []Source
	log     *slog.Logger
	now     func() time.Time

	mu    sync.Mutex
	asked time.Time // before the question that spans answers
	spans map[string]map[int32]broker.Span
}

// New watches nothing until Run.
func New(log *slog.Logger, sources []Source) *Watch {
	return &Watch{sources: sources, log: log, now: time.Now}
}

// Run asks until ctx ends, and then returns nil. Brokers that do not answer are asked again.
func (w *Watch) Run(ctx context.Context, ends Ends) error {
	if len(w.sources) == 0 {
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		w.ask(ctx, ends)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Watch) ask(ctx context.Context, ends Ends) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	names := make([]string, len(w.sources))
	for i, s := range w.sources {
		names[i] = s.Topic
	}
	asked := w.now()
	spans, err := ends.Decided(ctx, names...)
	if err != nil {
		w.log.Debug("how far what is followed is behind is not known", "err", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.spans = asked, spans
}

// Topics are all, in the order of the sources.
func (w *Watch) Topics() []Topic {
	all := make([]Topic, len(w.sources))
	for i := range w.sources {
		all[i] = w.topic(w.sources[i])
	}
	return all
}

// Lag is that of one topic; Unknown also for one that is not followed.
func (w *Watch) Lag(topic string) int64 {
	for _, s := range w.sources {
		if s.Topic == topic {
			return w.topic(s).Lag
		}
	}
	return Unknown
}

func (w *Watch) topic(s Source) Topic {
	w.mu.Lock()
	spans, fresh := w.spans[s.Topic], w.now().Sub(w.asked) <= stale
	w.mu.Unlock()
	next := s.Next() // after the spans, so that nothing is missed twice
	t := Topic{Topic: s.Topic, Partitions: len(next)}
	for number, at := range next {
		span, ok := spans[number]
		if !ok || !fresh {
			t.Lag = Unknown
			return t
		}
		t.Lag += max(0, span.End-max(at, span.Start)) // what is before the start is gone
	}
	return t
}
