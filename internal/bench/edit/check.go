package edit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// decided is what the log has: the verdicts on each event in their order, and from which event on each
// version decided.
type decided struct {
	plan     plan
	verdicts map[schemas.Coordinates][][]byte
	// from is the first event of a partition that a version decided, by campaign and edit; now is the edit
	// that decided last.
	from map[turn][]int64
	now  map[turn]int
}

// turn is a campaign in a partition.
type turn struct {
	campaign  string
	partition int32
}

// never stands for a version that decided nothing in a partition.
const never = int64(-1)

func newDecided(p plan) *decided {
	return &decided{plan: p, verdicts: map[schemas.Coordinates][][]byte{}, from: map[turn][]int64{}, now: map[turn]int{}}
}

// add takes a verdict, in the order of the log, and checks its version.
func (d *decided) add(v *schemas.Verdict, value []byte, r *Report) {
	r.Verdicts++
	at := schemas.Coordinates{Topic: v.SrcTopic, Partition: v.SrcPartition, Offset: v.SrcOffset}
	d.verdicts[at] = append(d.verdicts[at], value)
	if v.Campaign != probe && v.Campaign != gate {
		return
	}
	t := turn{v.Campaign, v.SrcPartition}
	if d.from[t] == nil {
		d.from[t] = make([]int64, len(d.plan.docs))
		for k := range d.from[t] {
			d.from[t][k] = never
		}
	}
	k := d.plan.number(v.Campaign, v.Version)
	if k < d.now[t] || k < 0 {
		r.Mixed++
		r.fault("%s: %s decided by version %s (edit %d) after edit %d", at, v.Campaign, v.Version, k, d.now[t])
		return
	}
	d.now[t] = k
	if d.from[t][k] == never {
		d.from[t][k] = v.SrcOffset
	}
}

// check compares the verdicts in the log with those of the processor alone, run over the same events in the
// same order with each version put in force before the event that it decided first; and replays the journal.
func (g *ground) check(ctx context.Context, r *Report) error {
	d := newDecided(g.plan)
	err := kafka.ReadAll(ctx, g.cfg, topics.Verdicts.Spec, func(e kafka.Entry) error {
		value := bytes.Clone(e.Value)
		v, err := topics.Verdicts.Codec.Decode(value)
		if err == nil {
			d.add(v, value, r)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the verdicts: %w", err)
	}
	if err := d.again(ctx, g, r); err != nil {
		return err
	}
	replayed, err := journal.Replay(ctx, g.cfg, engage.Processor, journal.All)
	if err != nil {
		return err
	}
	r.Differences, r.Replayed = int64(replayed.Differences), int64(replayed.Rows+replayed.Outputs)
	if replayed.First != nil {
		r.fault("replay: %v", replayed.First)
	}
	return nil
}

// alone is the processor over one partition.
type alone struct {
	*rehearse.Stepper
	partition int32
	next      map[string]int // the first edit of a campaign that is not in force
	got       [][]byte
}

func newAlone(p plan, partition int32) (*alone, error) {
	a := &alone{partition: partition, next: map[string]int{}}
	a.Stepper = rehearse.NewStepper(func(s rehearse.Step) error {
		for _, v := range s.Verdicts {
			b, err := topics.Verdicts.Codec.Append(nil, v)
			if err != nil {
				return err
			}
			a.got = append(a.got, b)
		}
		return nil
	})
	for _, doc := range p.docs[0] {
		if err := rehearse.Declare(a.Stepper, p.declaration(doc.Name, 0)); err != nil {
			return nil, err
		}
		a.next[doc.Name] = 1
	}
	return a, nil
}

// again steps all events once more.
func (d *decided) again(ctx context.Context, g *ground, r *Report) error {
	var a *alone
	err := kafka.ReadAll(ctx, g.cfg, topics.Events.Spec, func(e kafka.Entry) (err error) {
		if a == nil || a.partition != e.At.Partition {
			if a, err = newAlone(d.plan, e.At.Partition); err != nil {
				return err
			}
		}
		if err := d.edit(a, e.At.Offset, r); err != nil {
			return err
		}
		a.got = a.got[:0]
		if err := a.Event(e.Key, e.At, e.Time.UnixMilli(), e.Value); err != nil {
			return err
		}
		d.compare(e.At, a.got, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("step the events again: %w", err)
	}
	for at, rest := range d.verdicts {
		r.Extra += int64(len(rest))
		r.fault("%s: %d verdicts that the processor alone has not", at, len(rest))
	}
	return nil
}

// edit puts in force what decided from this event on.
func (d *decided) edit(a *alone, offset int64, r *Report) error {
	for _, name := range []string{probe, gate} {
		from := d.from[turn{name, a.partition}]
		for k := len(from) - 1; k >= a.next[name]; k-- {
			if from[k] == never || from[k] > offset {
				continue
			}
			if err := rehearse.Declare(a.Stepper, d.plan.declaration(name, k)); err != nil {
				return err
			}
			a.next[name] = k + 1
			break
		}
	}
	if a.next[probe] != a.next[gate] {
		r.Between++
	}
	return nil
}

// compare takes the verdicts on an event out of those of the log.
func (d *decided) compare(at schemas.Coordinates, alone [][]byte, r *Report) {
	live := d.verdicts[at]
	delete(d.verdicts, at)
	for i := range max(len(live), len(alone)) {
		switch {
		case i >= len(live):
			r.Lost++
			r.fault("%s: the log lacks %s", at, told(alone[i]))
		case i >= len(alone):
			r.Extra++
			r.fault("%s: the processor alone has not %s", at, told(live[i]))
		case !bytes.Equal(live[i], alone[i]):
			r.Other++
			r.fault("%s: the log has %s, the processor alone %s", at, told(live[i]), told(alone[i]))
		}
	}
}

func told(verdict []byte) string {
	v, err := topics.Verdicts.Codec.Decode(verdict)
	if err != nil {
		return err.Error()
	}
	b, err := json.Marshal(rehearse.DecisionOf(v))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
