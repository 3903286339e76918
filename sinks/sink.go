// Package sinks is the contract between Kafka and the stores that its records end in, so that each
// record counts exactly once there. Ranges of whole records of one partition enter; what leaves is a
// batch with a token that is the same on every attempt.
//
// What is pure is here: when a range is sealed (Buffer), what the offset commit says about it
// (Intent), and in which order commits and inserts may follow each other (Progress). kafka/drain
// does the I/O; a store implements Sink.
package sinks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dwellhq/dwell/topics"
)

// What a Sink's errors mean. Any other error stops the partition until somebody has acted.
var (
	// ErrRetry: the store was away or busy; nothing is known about the attempt, and the same batch
	// is sent again, for as long as it takes.
	ErrRetry = errors.New("sink is away or busy")
	// ErrPoison: this record can never become rows. It goes to the dead letters and the range
	// goes on without it.
	ErrPoison = errors.New("poison record")
	// ErrWindow: a range that may have been inserted can no longer be told apart from a new one,
	// because the store has forgotten its token.
	ErrWindow = errors.New("deduplication window has passed")
)

// Sink is a store. Its methods are called from many goroutines, one per partition.
type Sink interface {
	// Decode turns a record into rows. It is pure: the same record gives the same rows for ever.
	// Its errors wrap ErrPoison.
	Decode(r Record) (Rows, error)
	// Write returns nil once every row of b is in every table and view, exactly once however often
	// b was sent before. A batch that was sent once never changes its range.
	Write(ctx context.Context, b Batch) error
	// Check says what makes exactly-once impossible here, and what to run. It changes nothing.
	Check(ctx context.Context) error
}

// Rows are one decoded record. Only the sink that made them looks inside.
type Rows interface {
	// Len is how many rows they are.
	Len() int
	// ReceivedMS is when the newest of them was received, Unix milliseconds.
	ReceivedMS() int64
}

// Ledger is what a Sink may implement besides: it remembers which ranges landed. With it a
// partition whose commits were lost is refused rather than counted again from the start.
type Ledger interface {
	// Landed returns the offset after the last one that landed, 0 for none.
	Landed(ctx context.Context, b Batch) (int64, error)
}

// Pipeline feeds one topic into one sink, in a consumer group of its own (dwell.sink-NAME), so
// that bulk cannot hold up what is critical.
type Pipeline struct {
	// Name is part of every token and of the group: renaming a pipeline makes it start over.
	Name  string
	Topic *topics.Spec
	Batch BatchConfig
	Sink  Sink
}

// Validate reports every fault.
func (p Pipeline) Validate() error {
	var faults []error
	if !named(p.Name) {
		faults = append(faults, fmt.Errorf("name: %q must be 1 to 64 of a-z 0-9 - _", p.Name))
	}
	if p.Topic == nil {
		faults = append(faults, errors.New("topic: none given"))
	}
	if p.Sink == nil {
		faults = append(faults, errors.New("sink: none given"))
	}
	faults = append(faults, p.Batch.Validate())
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("pipeline %s: %w", p.Name, err)
	}
	return nil
}

// Group is the consumer group that holds the pipeline's offsets and intents.
func (p Pipeline) Group() string { return "dwell.sink-" + p.Name }

func named(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
