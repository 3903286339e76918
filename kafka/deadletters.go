package kafka

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// ReplayHeader is the header of a replayed record: the coordinates of the one that was rejected.
const ReplayHeader = "dwell-replay"

// filePrefix opens the topic of a letter whose record was a line of a file.
const filePrefix = "file:"

// wakeFormat shows a deadline to the millisecond.
const wakeFormat = "2006-01-02T15:04:05.000Z07:00"

// Letter is a dead letter.
type Letter struct {
	// At is where the letter itself lies.
	At schemas.Coordinates
	// Time is when the letter was written, by the log's clock.
	Time time.Time
	// Record is never nil; when the letter does not decode, it has the bytes as its Value, and no Topic.
	Record *schemas.DeadLetter
}

// Where is where the rejected record lies: topic/partition/offset, or the file and its line; of a wake,
// which row's it was and when.
func (l Letter) Where() string {
	if l.Record.Topic == "" {
		return "unknown"
	}
	return Where(l.Record)
}

// Where names what was rejected, and is the key of its letter. Different records and wakes have different
// names.
func Where(d *schemas.DeadLetter) string {
	switch {
	case d.WakeMs != 0:
		return fmt.Sprintf("%s/%d wake at %s of %s", d.Topic, d.Partition, time.UnixMilli(d.WakeMs).UTC().Format(wakeFormat), d.Key)
	case strings.HasPrefix(d.Topic, filePrefix):
		return fmt.Sprintf("%s line %d", d.Topic, d.Offset)
	}
	return schemas.Coordinates{Topic: d.Topic, Partition: d.Partition, Offset: d.Offset}.String()
}

// DeadLetters hands every dead letter there is now to each, in order. An error of each ends it.
func DeadLetters(ctx context.Context, cfg Config, each func(Letter) error) error {
	return ReadAll(ctx, cfg, topics.DeadLetters.Spec, func(e Entry) error {
		d, err := topics.DeadLetters.Codec.Decode(e.Value)
		if err != nil {
			d = &schemas.DeadLetter{Value: e.Value, Error: fmt.Sprintf("this dead letter itself is not readable: %v", err)}
		}
		return each(Letter{e.At, e.Time, d})
	})
}

// ErrSame is why a letter is not replayed whose record was sent in the same run already: a record that
// keeps being rejected has a letter from each time.
var ErrSame = errors.New("the same record was sent in this run already")

// Replayed counts what became of letters.
type Replayed struct {
	// Sent is how many records all in-sync replicas hold; in a dry run, how many would be sent.
	Sent int
	// Refused is how many cannot be replayed.
	Refused int
	// Same is how many were passed over because of ErrSame.
	Same int
}

// Replay sends the rejected records of the letters that pick picks to where they came from once more:
// same topic, partition, key and value, at the present time, with ReplayHeader. It marks nothing: what
// is replayed twice is in its topic twice, and a processor tells by the id within. say, unless nil, is
// told of each letter that was picked; its error is why it is not sent. In a dry run nothing is sent.
func Replay(ctx context.Context, cfg Config, dry bool, pick func(Letter) bool, say func(Letter, error)) (Replayed, error) {
	r := replayer{sent: map[[sha256.Size]byte]bool{}, partitions: map[string]int{}}
	var err error
	r.cl, err = cfg.NewClient("dwell-dlq", append(ProducerOptions(), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(int32(topics.DeadLetters.MaxMessageBytes)))...)
	if err != nil {
		return Replayed{}, err
	}
	defer r.cl.Close()
	err = DeadLetters(ctx, cfg, func(l Letter) error {
		if !pick(l) {
			return nil
		}
		why, err := r.judge(ctx, l.Record)
		if err != nil {
			return err
		}
		if say != nil {
			say(l, why)
		}
		switch {
		case errors.Is(why, ErrSame):
			r.count.Same++
		case why != nil:
			r.count.Refused++
		case dry:
			r.count.Sent++
		default:
			r.send(ctx, l)
		}
		return nil
	})
	err = errors.Join(err, r.cl.Flush(ctx))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed > 0 {
		err = errors.Join(err, fmt.Errorf("replay: %d records failed; the first: %w", r.failed, r.first))
	}
	return r.count, err
}

type replayer struct {
	cl   *kgo.Client
	sent map[[sha256.Size]byte]bool
	// partitions of the topics asked for; zero: there is no such topic.
	partitions map[string]int

	mu     sync.Mutex // the client's goroutine reports what was acknowledged
	count  Replayed
	failed int
	first  error
}

// judge says why a record cannot be replayed. Its second error ends the run.
func (r *replayer) judge(ctx context.Context, d *schemas.DeadLetter) (why, err error) {
	if why := Replayable(d); why != nil {
		return why, nil
	}
	n, known := r.partitions[d.Topic]
	if !known {
		list, err := kadm.NewClient(r.cl).ListTopics(ctx, d.Topic)
		if t := list[d.Topic]; err == nil && t.Err != nil && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			err = t.Err
		}
		if err != nil {
			return nil, fmt.Errorf("look for topic %s: %w", d.Topic, err)
		}
		n = len(list[d.Topic].Partitions)
		r.partitions[d.Topic] = n
	}
	switch {
	case n == 0:
		return fmt.Errorf("topic %s does not exist any more", d.Topic), nil
	case int(d.Partition) >= n:
		return fmt.Errorf("topic %s has %d partitions now, and none that is number %d", d.Topic, n, d.Partition), nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s/%d/%d:%s%s", d.Topic, d.Partition, len(d.Key), d.Key, d.Value)
	sum := [sha256.Size]byte(h.Sum(nil))
	if r.sent[sum] {
		return ErrSame, nil
	}
	r.sent[sum] = true
	return nil, nil
}

func (r *replayer) send(ctx context.Context, l Letter) {
	d := l.Record
	rec := &kgo.Record{
		Topic: d.Topic, Partition: d.Partition, Value: d.Value,
		Headers: []kgo.RecordHeader{{Key: ReplayHeader, Value: []byte(l.Where())}},
	}
	if len(d.Key) > 0 {
		rec.Key = d.Key
	}
	r.cl.Produce(ctx, rec, func(_ *kgo.Record, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			r.count.Sent++
			return
		}
		r.failed++
		if r.first == nil {
			r.first = fmt.Errorf("the record of %s: %w", l.Where(), err)
		}
	})
}

// Replayable says why a rejected record cannot go back to where it came from; nil: it can. Only what
// came in from outside may come in again. What processors wrote is counted once because of where it
// lies, so a copy would count again; a record of a compacted topic would undo newer ones.
func Replayable(d *schemas.DeadLetter) error {
	switch {
	case d.Topic == "":
		return errors.New("the letter does not say where its record came from")
	case strings.HasPrefix(d.Topic, filePrefix):
		return fmt.Errorf("it is line %d of a file, not a record: correct it, and run dwell replay on a file of such lines, by a name of its own", d.Offset)
	case d.WakeMs != 0:
		return errors.New("it was a deadline of a row, not a record: the row is there without it, and its user's next record can set another; mend the processor first")
	case len(d.Value) == 0:
		return errors.New("the letter holds no value: the record had none, or one too big for the dead letters; if it is still in the log, copy it from there")
	case d.Partition < 0:
		return fmt.Errorf("partition %d is none", d.Partition)
	case !cameIn(d.Topic):
		return fmt.Errorf("topic %s is written by dwell itself, and a second copy would count twice or undo what is newer", d.Topic)
	}
	return nil
}

// cameIn: the topic holds what came from outside: of the built-in ones, those whose readers recognise a
// record that they have stepped.
func cameIn(topic string) bool {
	switch topic {
	case topics.Events.Name, topics.Frames.Name, topics.Deliveries.Name, topics.Members.Name:
		return true
	}
	for _, s := range topics.Builtin() {
		if s.Name == topic {
			return false
		}
	}
	ours := strings.HasPrefix(topic, "dwell.") && (strings.HasSuffix(topic, "-table") || strings.HasSuffix(topic, "-journal"))
	return !ours
}
