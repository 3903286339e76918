package mirror

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/store"
)

const (
	// topicAppears is how long a topic that was just created may stay invisible.
	topicAppears = 5 * time.Second
	// askAgain is the pause after a question that nobody answered.
	askAgain = 250 * time.Millisecond
)

// open opens the stores of some partitions of a table, and finds where these end.
func (m *Mirror) open(ctx context.Context, topic string, numbers []int32) (_ *follower, err error) {
	f := &follower{cfg: m.cfg, topic: topic, index: map[int32]int{}, ready: make(chan struct{})}
	defer func() {
		if err != nil {
			f.close(m.cfg.Log)
		}
	}()
	id, _, err := m.cfg.Admin.Topic(ctx, topic, topicAppears)
	if err != nil {
		return nil, err
	}
	spans, err := m.ends(ctx, topic)
	if err != nil {
		return nil, err
	}
	for i, n := range numbers {
		s, err := m.store(topic, n, id, spans[n])
		if err != nil {
			return nil, err
		}
		f.index[n], f.stores = i, append(f.stores, s)
		f.next, f.ends = append(f.next, max(s.Offset()+1, spans[n].Start)), append(f.ends, spans[n].End)
	}
	return f, nil
}

// store opens the local store of a partition. One that cannot be a part of this topic is emptied: the
// topic was made anew, does not reach that far, begins later, or may have forgotten what it deleted.
func (m *Mirror) store(topic string, number int32, id [16]byte, span broker.Span) (*store.Store, error) {
	if m.cfg.Dir == "" {
		s := store.Memory()
		return s, s.Reset(id)
	}
	dir := filepath.Join(m.cfg.Dir, topic, strconv.Itoa(int(number)))
	s, err := store.Open(dir, m.cfg.Cache, m.cfg.Log)
	if err != nil {
		return nil, err
	}
	if s.Fits(id, span.Start, span.End) {
		return s, nil
	}
	if err := s.Reset(id); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ends asks where the partitions of a topic begin and end, until it is answered.
func (m *Mirror) ends(ctx context.Context, topic string) (map[int32]broker.Span, error) {
	for {
		spans, err := m.cfg.Admin.Decided(ctx, topic)
		if err == nil {
			return spans[topic], nil
		}
		m.cfg.Log.Warn("tables of other processors: asking again", "err", err)
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		case <-time.After(askAgain):
		}
	}
}
