package drain

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/topics"
)

// rejection is a record that became no rows.
type rejection struct {
	by     string
	record *kgo.Record
	err    error
	stack  string
}

// letter is a function of the record alone, so that a replay writes the same one again.
func (x rejection) letter() *schemas.DeadLetter {
	r := x.record
	return &schemas.DeadLetter{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value,
		By: x.by, Error: x.err.Error(), Stack: x.stack, TimeMs: r.Timestamp.UnixMilli(),
	}
}

// bury writes the rejection to the dead letters and returns once all in-sync replicas hold it; its
// errors are worth another try. It comes before the range is confirmed, so no rejection is lost.
// A value too big for the topic is left out; the coordinates say where it lies.
func bury(ctx context.Context, cl *kgo.Client, x rejection) error {
	letter := x.letter()
	key := []byte(schemas.Coordinates{Topic: letter.Topic, Partition: letter.Partition, Offset: letter.Offset}.String())
	for {
		value, err := topics.DeadLetters.Codec.Append(nil, letter)
		if err != nil {
			return fmt.Errorf("bury %s: %w", key, err)
		}
		err = cl.ProduceSync(ctx, &kgo.Record{Topic: topics.DeadLetters.Name, Key: key, Value: value}).FirstErr()
		if errors.Is(err, kerr.MessageTooLarge) && letter.Value != nil {
			letter.Value = nil
			continue
		}
		if err != nil {
			return fmt.Errorf("bury %s in %s: %w: %w", key, topics.DeadLetters.Name, sinks.ErrRetry, err)
		}
		return nil
	}
}
