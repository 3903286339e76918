package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/topics"
)

const (
	// topicAppears is how long a topic that was just created may stay invisible.
	topicAppears = 5 * time.Second
)

// checkTopics finds every topic that the processor needs, reports all faults, and returns the number
// of partitions of its inputs. Topics of blocks have as many, because blocks stay in their partition.
func (p *Processor) checkTopics(ctx context.Context) (int, error) {
	var faults []error
	count := func(t *topics.Spec) int {
		_, n, err := p.admin.Topic(ctx, t.Name, topicAppears)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = fmt.Errorf("topic %s does not exist: create it with kafka.Ensure, or dwell topics apply; the table of another processor is there once that has run", t.Name)
		}
		if err != nil {
			faults = append(faults, err)
		}
		return n
	}
	first := p.def.Inputs[0]
	if first == p.def.Loop {
		first = p.def.Inputs[1] // Define makes sure of another
	}
	partitions := count(first)
	if p.def.Loop != nil && partitions != 0 {
		if err := p.ensureOwn(ctx, p.def.Loop.Name, partitions, p.def.Loop.Retention); err != nil {
			faults = append(faults, err)
		}
	}
	same := func(t *topics.Spec, why string) {
		if n := count(t); n != 0 && partitions != 0 && n != partitions {
			faults = append(faults, fmt.Errorf("topic %s has %d partitions and %s has %d: %s, so make them equal", t.Name, n, first.Name, partitions, why))
		}
	}
	for _, t := range p.def.Inputs {
		if t != first {
			same(t, "a user's records of all inputs must meet in one partition")
		}
	}
	for _, t := range p.def.Tables {
		if t.Whole {
			count(t.Topic())
		} else {
			same(t.Topic(), "a joined row must lie in the partition of the records that it is joined to")
		}
	}
	for _, t := range p.def.Outputs {
		if t.Pack != nil {
			same(t, "blocks lie in the partition they came from")
		} else {
			count(t)
		}
	}
	count(topics.DeadLetters.Spec)
	if p.def.Journal && errors.Join(faults...) == nil {
		faults = append(faults, p.ensureOwn(ctx, p.shared.JournalTopic, partitions, journal.Retention(p.def.Inputs)))
		p.warnOfVersions(ctx)
	}
	return partitions, errors.Join(faults...)
}

// ensureOwn makes the journal or the loop, which have as many partitions as the inputs.
func (p *Processor) ensureOwn(ctx context.Context, topic string, partitions int, keep time.Duration) error {
	_, n, err := p.admin.Topic(ctx, topic, 0)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		settings := map[string]string{}
		switch keep {
		case 0:
		case topics.Forever:
			settings["retention.ms"] = "-1"
		default:
			settings["retention.ms"] = strconv.FormatInt(keep.Milliseconds(), 10)
		}
		if err := p.admin.Create(ctx, topic, partitions, settings); err != nil {
			return err
		}
		_, _, err = p.admin.Topic(ctx, topic, topicAppears) // waits until it is visible
		return err
	case err == nil && n != partitions:
		return fmt.Errorf("%s has %d partitions and the inputs have %d: delete it, when nothing in it is needed any more, and it is made anew", topic, n, partitions)
	}
	return err
}

// warnOfVersions says which whole topics, and which tables of other processors, lose versions that the
// journal still names. Nothing is lost but replays, so it is no reason not to run.
func (p *Processor) warnOfVersions(ctx context.Context) {
	kinds := map[string]string{} // by topic
	for _, w := range p.def.Whole {
		kinds[w.Topic().Name] = "whole topic: "
	}
	for _, t := range p.def.Tables {
		kinds[t.Topic().Name] = "table that is read: "
	}
	if len(kinds) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(kinds))
	have, err := p.admin.Settings(ctx, append(names, p.shared.JournalTopic)...)
	if err != nil {
		p.log.Info("whether versions stay for as long as the journal is not known", "topics", names, "err", err)
		return
	}
	for _, name := range names {
		if what := topics.Lacking(name, have[name], p.shared.JournalTopic, have[p.shared.JournalTopic]); what != "" {
			p.log.Warn(kinds[name] + what)
		}
	}
}

// maxBytes is the most that key and value of a record in the topic may have.
func (p *Processor) maxBytes(topic string) int { return p.written(topic).RecordBytes() }

// batchBytes is the most that a record batch in the topic may have.
func (p *Processor) batchBytes(topic string) int32 { return int32(p.written(topic).MessageBytes()) }

// written is the declaration of a topic that the processor writes.
func (p *Processor) written(topic string) *topics.Spec {
	if topic == p.shared.Topic {
		return p.table // asked for each row that is produced
	}
	for _, t := range p.def.Outputs {
		if t.Name == topic {
			return t
		}
	}
	if topic == topics.DeadLetters.Name {
		return topics.DeadLetters.Spec
	}
	return &topics.Spec{Name: topic}
}

// pinned says that records in the topic name their own partition: rows and journal lie where their input does,
// whatever its producer's idea of a partition was.
func (p *Processor) pinned(topic string) bool {
	if topic == p.shared.Topic || topic == p.shared.JournalTopic {
		return true
	}
	return slices.ContainsFunc(p.def.Outputs, func(t *topics.Spec) bool { return t.Name == topic && t.Pack != nil })
}

// topicManager is a goka.TopicManager. goka's interface knows no context: ctx is that of Run.
type topicManager struct {
	p          *Processor
	ctx        context.Context
	partitions int
}

// Partitions implements goka.TopicManager. The topic of wakes exists here only.
func (m topicManager) Partitions(topic string) ([]int32, error) {
	n := m.partitions
	if topic != m.p.wakeTopic() {
		var err error
		if _, n, err = m.p.admin.Topic(m.ctx, topic, topicAppears); err != nil {
			return nil, err
		}
	}
	numbers := make([]int32, n)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	return numbers, nil
}

// GetOffset implements goka.TopicManager. The end is the high watermark: behind a transaction that a
// dead instance left open there may be rows that count.
func (m topicManager) GetOffset(topic string, partition int32, at int64) (int64, error) {
	span, err := m.p.admin.Span(m.ctx, topic, partition)
	switch {
	case err != nil:
		return 0, err
	case at == sarama.OffsetOldest:
		return span.Start, nil
	case at == sarama.OffsetNewest:
		return span.End, nil
	}
	return 0, errUnused
}

// EnsureTableExists implements goka.TopicManager.
func (m topicManager) EnsureTableExists(topic string, partitions int) error {
	_, n, err := m.p.admin.Topic(m.ctx, topic, 0)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return m.create(topic, partitions)
	case err != nil:
		return err
	case n != partitions:
		return fmt.Errorf("table %s has %d partitions and the inputs have %d: rows would be lost; copy the table and the inputs into new topics", topic, n, partitions)
	}
	return nil
}

func (m topicManager) create(topic string, partitions int) error {
	settings := map[string]string{"cleanup.policy": "compact"}
	if b := m.p.batchBytes(topic); b > topics.DefaultMessageBytes {
		settings["max.message.bytes"] = strconv.Itoa(int(b))
	}
	if err := m.p.admin.Create(m.ctx, topic, partitions, settings); err != nil {
		return err
	}
	_, _, err := m.p.admin.Topic(m.ctx, topic, topicAppears) // waits until it is visible
	return err
}

// EnsureStreamExists implements goka.TopicManager: it is for the loop, which checkTopics made.
func (m topicManager) EnsureStreamExists(string, int) error { return nil }

// EnsureTopicExists implements goka.TopicManager. goka never asks.
func (m topicManager) EnsureTopicExists(string, int, int, map[string]string) error { return errUnused }

// Close implements goka.TopicManager.
func (m topicManager) Close() error { return nil }
