package sinktest

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/dwellhq/dwell/sinks"
)

// Memory is a sink that keeps records in memory and swallows tokens that it has seen. The zero
// value is ready. Records whose value begins with "poison" are poison, "panic" panics.
type Memory struct {
	mu       sync.Mutex
	landed   map[string]int // by record value
	tokens   map[string]bool
	next     map[string]int64
	attempts int
	fault    func(attempt int, b sinks.Batch) (before, after error)
}

// Fail has fault decide over every attempt from now on: before fails it with nothing landed, after
// fails it although all has landed. Nil ends that. fault must not call the Memory.
func (m *Memory) Fail(fault func(attempt int, b sinks.Batch) (before, after error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

// Landed implements sinks.Ledger.
func (m *Memory) Landed(_ context.Context, b sinks.Batch) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.next[lane(b)], nil
}

// Records is how often each record value landed.
func (m *Memory) Records() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(map[string]int, len(m.landed))
	for k, v := range m.landed {
		c[k] = v
	}
	return c
}

// Tokens is how many different batches landed.
func (m *Memory) Tokens() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tokens)
}

// Attempts is how often Write was called.
func (m *Memory) Attempts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attempts
}

type memoryRow struct {
	value string
	ms    int64
}

func (memoryRow) Len() int            { return 1 }
func (r memoryRow) ReceivedMS() int64 { return r.ms }

// Decode implements sinks.Sink.
func (m *Memory) Decode(r sinks.Record) (sinks.Rows, error) {
	if bytes.HasPrefix(r.Value, []byte("panic")) {
		panic(string(r.Value))
	}
	if bytes.HasPrefix(r.Value, []byte("poison")) {
		return nil, fmt.Errorf("%w: %q", sinks.ErrPoison, r.Value)
	}
	return memoryRow{string(r.Value), r.Time.UnixMilli()}, nil
}

// Write implements sinks.Sink.
func (m *Memory) Write(ctx context.Context, b sinks.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", sinks.ErrRetry, err)
	}
	m.attempts++
	var after error
	if m.fault != nil {
		var before error
		if before, after = m.fault(m.attempts, b); before != nil {
			return before
		}
	}
	if m.tokens == nil {
		m.tokens, m.landed, m.next = map[string]bool{}, map[string]int{}, map[string]int64{}
	}
	if token := b.Token("memory"); !m.tokens[token] {
		m.tokens[token] = true
		m.next[lane(b)] = max(m.next[lane(b)], b.Last+1)
		for _, r := range b.Rows {
			m.landed[r.(memoryRow).value]++
		}
	}
	return after
}

// Check implements sinks.Sink.
func (m *Memory) Check(context.Context) error { return nil }

func lane(b sinks.Batch) string {
	return fmt.Sprintf("%s/%s/%d", b.Pipeline, b.Source(), b.Partition)
}
