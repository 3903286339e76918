package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicLog reads what is committed in a topic, in order per partition, and goes on where it was.
type topicLog struct {
	topic string
	adm   *kadm.Client
	cl    *kgo.Client
	err   error // of its making
	at    map[int32]int64
}

func (t *torture) reader(topic string) *topicLog {
	l := &topicLog{topic: topic, adm: t.adm, at: map[int32]int64{}}
	l.cl, l.err = kgo.NewClient(kgo.SeedBrokers(t.addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond))
	return l
}

func (l *topicLog) close() {
	if l.cl != nil {
		l.cl.Close()
	}
}

// catchUp hands fn every record up to what is committed now. An error of fn is returned in the end.
func (l *topicLog) catchUp(ctx context.Context, fn func(*kgo.Record) error) error {
	if l.err != nil {
		return fmt.Errorf("read %s: %w", l.topic, l.err)
	}
	ends, err := l.adm.ListCommittedOffsets(ctx, l.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("find the end of %s: %w", l.topic, err)
	}
	var first error
	for l.behind(ends) {
		fetches := l.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("read %s: at %v: %w", l.topic, l.at, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			l.at[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			if err := fn(r); err != nil && first == nil {
				first = fmt.Errorf("read %s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
		})
	}
	return first
}

func (l *topicLog) behind(ends kadm.ListedOffsets) bool {
	behind := false
	ends.Each(func(o kadm.ListedOffset) { behind = behind || l.at[o.Partition] < o.Offset })
	return behind
}

// whole reads a topic from its start.
func (t *torture) whole(ctx context.Context, topic string, fn func(*kgo.Record) error) error {
	l := t.reader(topic)
	defer l.close()
	return l.catchUp(ctx, fn)
}

// latest keeps the newest row of each key.
func latest(rows map[string]found) func(*kgo.Record) error {
	return func(r *kgo.Record) error {
		if r.Value == nil {
			delete(rows, string(r.Key))
			return nil
		}
		row, err := readRow(r.Value)
		if err == nil {
			rows[string(r.Key)] = row
		}
		return err
	}
}

// ends are where the inputs end.
func (t *torture) ends(ctx context.Context) (map[spot]int64, error) {
	m := map[spot]int64{}
	for _, in := range t.inputs() {
		l, err := t.adm.ListCommittedOffsets(ctx, in.topic)
		if err == nil {
			err = l.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("find the end of %s: %w", in.topic, err)
		}
		l.Each(func(o kadm.ListedOffset) { m[spot{o.Topic, o.Partition}] = o.Offset })
	}
	return m, nil
}

var errWire = errors.New("broken protobuf")

// field is one field of a protobuf record: number for a varint, bytes for the rest.
type field struct {
	number uint64
	bytes  []byte
}

// fields takes a protobuf record apart, by field number; the last of several wins. It is all that the
// checker knows of protobuf, and nothing of the core's.
func fields(b []byte) (map[uint64]field, error) {
	all := map[uint64]field{}
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errWire
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		switch {
		case n <= 0:
			return nil, errWire
		case tag&7 == 0:
			all[tag>>3] = field{number: v}
			b = b[n:]
		case tag&7 == 2 && v <= uint64(len(b)-n):
			all[tag>>3] = field{bytes: b[n : n+int(v)]}
			b = b[n+int(v):]
		default:
			return nil, fmt.Errorf("%w: field %d has wire type %d", errWire, tag>>3, tag&7)
		}
	}
	return all, nil
}

// found is a row as it lies in a table topic.
type found struct {
	N, Sum, Last, Woke uint64
	wakeMS             uint64
}

// readRow decodes schemas.Row, whose field 1 is the deadline and field 3 the state, here JSON.
func readRow(value []byte) (found, error) {
	f, err := fields(value)
	if err != nil {
		return found{}, fmt.Errorf("row: %w", err)
	}
	r := found{wakeMS: f[1].number}
	if err := json.Unmarshal(f[3].bytes, &r); err != nil {
		return found{}, fmt.Errorf("row's state: %w", err)
	}
	return r, nil
}

// acted is an action: field 2 is the tenant, 3 the user, 4 the campaign, 11 when it was decided.
type acted struct {
	user, campaign string
	decidedMS      int64
}

func readAction(value []byte) (acted, error) {
	f, err := fields(value)
	if err != nil {
		return acted{}, fmt.Errorf("action: %w", err)
	}
	return acted{user: string(f[2].bytes) + "/" + string(f[3].bytes), campaign: string(f[4].bytes), decidedMS: int64(f[11].number)}, nil
}

// place is where a rejected record lies: fields 1 to 3 of a dead letter.
type place struct {
	topic     string
	partition uint64
	offset    uint64
}

func readLetter(value []byte) (place, error) {
	f, err := fields(value)
	if err != nil {
		return place{}, fmt.Errorf("dead letter: %w", err)
	}
	return place{string(f[1].bytes), f[2].number, f[3].number}, nil
}
