package journal

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// digest is the first half of a SHA-256 of an output.
type digest [16]byte

func digestOf(b []byte) digest {
	h := sha256.Sum256(b)
	return digest(h[:16])
}

// outputs are what the replay expects to find in the topics.
type outputs struct {
	*replay
	// lanes by topic, then key. A topic of blocks has one for each partition instead, and the dead
	// letters one for each record.
	lanes map[string]map[string]*lane
	// producers wrote the journal. Nobody else's outputs are this group's.
	producers map[int64]bool
	items     map[string]bool // topics of blocks whose items are not facts
}

// lane is what must come in order.
type lane struct {
	want []want
	at   int // the next
	// source is the partition it comes from; mixed says that there are several, so that there is no order.
	source int32
	mixed  bool
}

// want is one output.
type want struct {
	digest digest
	entry  int64 // of the journal
	from   int32 // its partition
	// found, in a mixed lane.
	found bool
}

func newOutputs(r *replay) *outputs {
	return &outputs{replay: r, lanes: map[string]map[string]*lane{}, producers: map[int64]bool{}, items: map[string]bool{}}
}

// ours notes who wrote a record of the journal.
func (o *outputs) ours(rec *kgo.Record) { o.producers[rec.ProducerID] = true }

// expect notes an output of a partition, by an entry of the journal.
func (o *outputs) expect(topic, key string, source int32, d digest, entry *kgo.Record) {
	if o.lanes[topic] == nil {
		o.lanes[topic] = map[string]*lane{}
	}
	l := o.lanes[topic][key]
	if l == nil {
		l = &lane{source: source}
		o.lanes[topic][key] = l
	}
	l.mixed = l.mixed || l.source != source
	l.want = append(l.want, want{digest: d, entry: entry.Offset, from: source})
}

// expectLetter notes that a record, or a wake, is in the dead letters. What they say of it is not compared:
// a stack is another in every binary.
func (o *outputs) expectLetter(d *schemas.DeadLetter, entry *kgo.Record) {
	o.expect(topics.DeadLetters.Name, kafka.Where(d), d.Partition, digest{}, entry)
}

// expectBlock notes what a transaction emitted to a topic of blocks.
func (o *outputs) expectBlock(topic *topics.Spec, number int32, items []any, entry *kgo.Record) error {
	for _, item := range items {
		f, ok := item.(*schemas.Fact)
		if !ok {
			o.items[topic.Name] = true
			break
		}
		o.expect(topic.Name, block(number), number, factDigest(*f), entry)
	}
	if !o.items[topic.Name] {
		return nil
	}
	values, err := topic.Pack(items)
	for _, v := range values {
		o.expect(topic.Name, block(number), number, digestOf(v), entry)
	}
	return err
}

// block is the key of a partition's lane.
func block(number int32) string { return fmt.Sprint(number) }

// factDigest is of everything that a fact says.
func factDigest(f schemas.Fact) digest {
	return digestOf(fmt.Appendf(nil, "%q %q %q %q %q %d %d %d %q %q %q %q %q %q %q %d %d", f.EventID, f.Tenant, f.User, f.Type, f.Name, f.TimeMS,
		f.ReceivedMS, f.N, f.Path, f.Referrer, f.UserAgent, f.Address, f.Source, f.Properties, f.At.Topic, f.At.Partition, f.At.Offset))
}

// compare reads the topics to where they ended.
func (o *outputs) compare(ctx context.Context) error {
	all := append(slices.Clone(o.def.Outputs), topics.DeadLetters.Spec)
	for i, t := range all {
		if slices.Contains(all[:i], t) {
			continue
		}
		for _, n := range o.ends[t.Name].numbers() {
			if err := o.read(ctx, t, n); err != nil {
				return err
			}
		}
		o.rest(t.Name)
	}
	return nil
}

func (o *outputs) read(ctx context.Context, topic *topics.Spec, number int32) error {
	if topic.Pack != nil && o.only != All && number != o.only {
		return nil
	}
	t, err := newTape(o.cfg, topic.Name, number, o.ends[topic.Name][number])
	if err != nil {
		return err
	}
	defer t.close()
	if t.start > 0 && len(o.lanes[topic.Name]) > 0 {
		return fmt.Errorf("%w: %s/%d begins at offset %d: outputs before that are gone and cannot be compared", ErrGone, t.topic, number, t.start)
	}
	return t.each(ctx, func(rec *kgo.Record) error {
		if !o.producers[rec.ProducerID] {
			return nil
		}
		return o.found(topic, rec)
	})
}

// found compares a record of the group's.
func (o *outputs) found(topic *topics.Spec, rec *kgo.Record) error {
	key := string(rec.Key)
	switch {
	case topic == topics.DeadLetters.Spec:
		d, err := topics.DeadLetters.Codec.Decode(rec.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", where(rec), err)
		}
		if o.only == All || d.Partition == o.only {
			o.match(rec, key, digest{})
		}
	case topic.Pack != nil && o.items[topic.Name]:
		o.match(rec, block(rec.Partition), digestOf(rec.Value))
	case topic.Pack != nil:
		b, err := schemas.FactBlocks{}.Unpack(rec.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", where(rec), err)
		}
		for i := range b.Len() {
			o.match(rec, block(rec.Partition), factDigest(b.Fact(i)))
		}
	default:
		o.match(rec, key, digestOf(rec.Value))
	}
	return nil
}

// shared: other partitions, which are not replayed, write to the same lanes. Blocks lie in their own
// partition, and dead letters name it.
func (o *outputs) shared(topic string) bool {
	return o.only != All && topic != topics.DeadLetters.Name &&
		slices.ContainsFunc(o.def.Outputs, func(t *topics.Spec) bool { return t.Name == topic && t.Pack == nil })
}

// match compares one output with the next of its lane.
func (o *outputs) match(rec *kgo.Record, key string, d digest) {
	l := o.lanes[rec.Topic][key]
	if o.shared(rec.Topic) && (l == nil || l.at >= len(l.want) || l.want[l.at].digest != d) {
		o.report.Elsewhere++ // of another partition, unless rest misses one
		return
	}
	o.report.Outputs++
	switch {
	case l == nil:
		o.report.differ(&Difference{At: where(rec), Key: key, What: "the replay has no such output"})
	case l.mixed:
		i := slices.IndexFunc(l.want[l.at:], func(w want) bool { return !w.found && w.digest == d })
		if i < 0 {
			o.report.differ(&Difference{At: where(rec), Key: key, What: "the replay has no such output"})
			return
		}
		l.want[l.at+i].found = true
		for l.at < len(l.want) && l.want[l.at].found {
			l.at++
		}
	case l.at >= len(l.want):
		o.report.differ(&Difference{At: where(rec), Key: key, What: fmt.Sprintf("the replay has only %d outputs of this key, this is one more", len(l.want))})
	default:
		if w := l.want[l.at]; w.digest != d {
			o.report.differ(&Difference{At: where(rec), Key: key, What: fmt.Sprintf("output %d of this key is another in the replay (journal entry %s)", l.at+1, o.entry(w))})
		}
		l.at++
	}
}

// rest are the outputs that the topic lacks. Those of the newest entries may be under way.
func (o *outputs) rest(topic string) {
	for key, l := range o.lanes[topic] {
		for i, w := range l.want {
			if i < l.at || w.found || w.entry >= o.certain[w.from].end {
				continue
			}
			at := o.entry(w)
			o.report.differ(&Difference{At: at, Key: key, What: fmt.Sprintf("output %d of this key in the replay is missing in %s", i+1, topic)})
			break
		}
	}
}

func (o *outputs) entry(w want) schemas.Coordinates {
	return schemas.Coordinates{Topic: Topic("dwell." + o.def.Name), Partition: w.from, Offset: w.entry}
}
