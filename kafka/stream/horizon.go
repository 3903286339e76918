package stream

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/table"
)

const (
	// lookEvery is how often we ask where the inputs end, while rows wait for the wall clock.
	lookEvery = 100 * time.Millisecond
	// lookTime bounds one question.
	lookTime = 2 * time.Second
)

// horizon knows where the inputs ended when we last asked. Having read that far proves that nothing
// that was in the log then can still cancel a deadline. Silence proves nothing: a broker may be away.
type horizon struct {
	asking sync.WaitGroup

	mu      sync.Mutex
	busy    bool
	tried   int64 // Unix ms
	askedMS int64 // before the question was sent; 0: never answered
	spans   map[string]map[int32]broker.Span
}

// look asks, beside the transactions, unless a question is under way or was just answered.
func (m *member) look(nowMS int64) {
	h := &m.horizon
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy || nowMS-h.tried < lookEvery.Milliseconds() {
		return
	}
	h.busy, h.tried = true, nowMS
	inputs := make([]string, len(m.p.def.Inputs))
	for i, in := range m.p.def.Inputs {
		inputs[i] = in.Name
	}
	h.asking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		spans, err := m.p.admin.Decided(ctx, inputs...)
		if err != nil {
			m.p.log.Debug("wakes wait: the ends of the inputs are not known", "err", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.busy = false
		if err == nil {
			h.askedMS, h.spans = nowMS, spans
		}
	})
}

// readTo tells a partition which of its inputs were read to their ends, as of when.
func (m *member) readTo(t *table.Partition) func(input int, next int64) (int64, bool) {
	h := &m.horizon
	h.mu.Lock()
	asked, spans := h.askedMS, h.spans
	h.mu.Unlock()
	var known map[string]map[int32]kgo.EpochOffset
	return func(input int, next int64) (int64, bool) {
		topic := m.p.def.Inputs[input].Name
		span, ok := spans[topic][t.Number()]
		if !ok {
			return 0, false
		}
		if next == table.Unknown && known == nil {
			known = m.sess.Client().CommittedOffsets()
		}
		at := max(m.position(known, t.Number(), topic, next), span.Start)
		return asked, at >= span.End
	}
}

// position is where the group stands in an input: at next, or else where it committed.
func (m *member) position(known map[string]map[int32]kgo.EpochOffset, partition int32, topic string, next int64) int64 {
	if next != table.Unknown {
		return next
	}
	if o, ok := known[topic][partition]; ok && o.Offset >= 0 {
		return o.Offset
	}
	m.horizon.mu.Lock()
	defer m.horizon.mu.Unlock()
	if span, ok := m.horizon.spans[topic][partition]; ok {
		return span.Start
	}
	return table.Unknown
}
