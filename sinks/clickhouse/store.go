package clickhouse

import (
	"fmt"
	"sync/atomic"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/topics"
)

// Store is one ClickHouse. It may be used by many goroutines.
type Store struct {
	cfg    Config
	conn   driver.Conn
	window atomic.Int64 // the shortest deduplication window found; 0: not looked yet
}

// Open checks the configuration. It does not wait for the server.
func Open(cfg Config) (*Store, error) {
	opt, err := cfg.options()
	if err != nil {
		return nil, fmt.Errorf("clickhouse configuration: %w", err)
	}
	conn, err := clickhouse.Open(opt)
	if err != nil {
		return nil, fmt.Errorf("open clickhouse: %w", err)
	}
	return &Store{cfg: cfg, conn: conn}, nil
}

// Close ends all connections; inserts under way fail.
func (s *Store) Close() error {
	if err := s.conn.Close(); err != nil {
		return fmt.Errorf("close clickhouse: %w", err)
	}
	return nil
}

// Pipelines is one for each topic that analysts read. The critical ones are by themselves and have
// small batches, so that a wave of facts cannot delay them.
func (s *Store) Pipelines() []sinks.Pipeline {
	return []sinks.Pipeline{
		{Name: "facts", Topic: topics.Facts.Spec, Batch: sinks.DefaultBatch(), Sink: newSink(s, factTable())},
		{Name: "verdicts", Topic: topics.Verdicts.Spec, Batch: sinks.CriticalBatch(), Sink: newSink(s, verdictTable())},
		{Name: "actions", Topic: topics.Actions.Spec, Batch: sinks.CriticalBatch(), Sink: newSink(s, actionTable())},
		{Name: "exposures", Topic: topics.Exposures.Spec, Batch: sinks.CriticalBatch(), Sink: newSink(s, exposureTable())},
		{Name: "dead-letters", Topic: topics.DeadLetters.Spec, Batch: sinks.DefaultBatch(), Sink: newSink(s, letterTable())},
	}
}
