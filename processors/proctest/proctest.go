// Package proctest runs a processor without a broker, with a clock that the test moves.
// Every step runs twice from the same stored row, as after a crash, and must come out the same;
// rows go through their codec between steps.
package proctest

import (
	"bytes"
	"cmp"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Run is a processor with its table, in memory. Its methods fail the test on a broken promise.
type Run struct {
	t     testing.TB
	def   *processors.Def
	now   time.Time
	rows  map[string][]byte
	views []any
	next  map[string]int64
	out   []processors.Emission
	// tables are the rows of Def.Tables, loop what was sent and not stepped yet.
	tables tables
	loop   []processors.Emission
}

// Start is the time at which a Run begins.
var Start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// New starts with an empty table at Start.
func New(t testing.TB, def *processors.Def) *Run {
	r := &Run{t: t, def: def, now: Start, rows: map[string][]byte{}, next: map[string]int64{}}
	for _, w := range def.Whole {
		r.views = append(r.views, w.Zero())
	}
	for range def.Tables {
		r.tables = append(r.tables, map[string][]byte{})
	}
	return r
}

// Now is the clock.
func (r *Run) Now() time.Time { return r.now }

// Send delivers one record at the current time, then what that sends through the loop. It returns r.
func Send[T any](r *Run, topic topics.Topic[T], key string, rec T) *Run {
	r.t.Helper()
	b, err := topic.Codec.Append(nil, rec)
	if err != nil {
		r.t.Fatalf("proctest: encode for %s: %v", topic.Name, err)
	}
	if err := r.SendBytes(topic.Name, key, b); err != nil {
		r.t.Fatalf("proctest: %v", err)
	}
	return r
}

// SendBytes delivers one record as bytes and returns the step's error.
func (r *Run) SendBytes(topic, key string, value []byte) error {
	r.t.Helper()
	i := slices.IndexFunc(r.def.Inputs, func(s *topics.Spec) bool { return s.Name == topic })
	if i < 0 {
		r.t.Fatalf("proctest: %s does not read %s", r.def.Name, topic)
	}
	if err := r.deliver(i, r.now.UnixMilli(), key, value); err != nil {
		return err
	}
	r.goRound()
	return nil
}

// deliver steps one record of input i.
func (r *Run) deliver(i int, ms int64, key string, value []byte) error {
	r.t.Helper()
	topic := r.def.Inputs[i].Name
	at := schemas.Coordinates{Topic: topic, Offset: r.next[topic]}
	r.next[topic]++
	return r.step(key, func(c *processors.Call) error {
		c.At, c.Value, c.NowMS = at, value, ms
		return r.def.Step(i, c)
	})
}

// Declare delivers one record of a whole topic; it is in force at once.
func Declare[T any](r *Run, topic topics.Topic[T], key string, rec T) {
	r.t.Helper()
	b, err := topic.Codec.Append(nil, rec)
	if err != nil {
		r.t.Fatalf("proctest: encode for %s: %v", topic.Name, err)
	}
	r.declare(topic.Name, key, b)
}

// Retract delivers a tombstone of a whole topic.
func (r *Run) Retract(topic, key string) {
	r.t.Helper()
	r.declare(topic, key, nil)
}

func (r *Run) declare(topic, key string, value []byte) {
	r.t.Helper()
	for i, w := range r.def.Whole {
		if w.Topic().Name != topic {
			continue
		}
		var err error
		if r.views[i], err = w.Fold(r.views[i], key, value); err != nil {
			r.t.Fatalf("proctest: fold %s: %v", topic, err)
		}
	}
}

// Advance moves the clock and wakes every row that is due, by deadline, then key; rows whose TTL is over
// go. It returns r.
func (r *Run) Advance(d time.Duration) *Run {
	r.t.Helper()
	r.now = r.now.Add(d)
	for {
		key, ok := r.due()
		if !ok {
			return r
		}
		if err := r.step(key, r.def.Wake); err != nil {
			r.t.Fatalf("proctest: wake: %v", err)
		}
		r.goRound()
	}
}

// due is the key with the earliest deadline that has come.
func (r *Run) due() (string, bool) {
	type entry struct {
		ms  int64
		key string
	}
	var all []entry
	for key, b := range r.rows {
		if ms := r.def.WakeMS(r.decode(b)); ms != 0 && ms <= r.now.UnixMilli() {
			all = append(all, entry{ms, key})
		}
	}
	if len(all) == 0 {
		return "", false
	}
	return slices.MinFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.key, b.key)) }).key, true
}

func (r *Run) decode(b []byte) any {
	r.t.Helper()
	if b == nil {
		return nil
	}
	row, err := r.def.DecodeRow(b)
	if err != nil {
		r.t.Fatalf("proctest: decode row: %v", err)
	}
	return row
}

// outcome is what one step did.
type outcome struct {
	row []byte
	out []processors.Emission
	err error
}

func (r *Run) try(key string, f func(*processors.Call) error) outcome {
	r.t.Helper()
	before := r.rows[key]
	c := processors.Call{Key: key, NowMS: r.now.UnixMilli(), Row: r.decode(before), Views: r.views, Tables: r.tables}
	o := outcome{err: f(&c), out: c.Out, row: before}
	if !c.Changed {
		return o
	}
	if o.row = nil; c.Row == nil {
		return o
	}
	b, err := r.def.AppendRow(nil, c.Row)
	if err != nil {
		r.t.Fatalf("proctest: encode row of %s: %v", key, err)
	}
	if len(b) > r.def.MaxRowBytes {
		r.t.Fatalf("proctest: the row of %s has %d bytes, at most %d are kept", key, len(b), r.def.MaxRowBytes)
	}
	o.row = b
	return o
}

func (r *Run) step(key string, f func(*processors.Call) error) error {
	r.t.Helper()
	first, again := r.try(key, f), r.try(key, f)
	if !bytes.Equal(first.row, again.row) || !reflect.DeepEqual(first.out, again.out) {
		r.t.Fatalf("proctest: a step of %s on %s is not deterministic:\n%q %v\n%q %v", r.def.Name, key, first.row, first.out, again.row, again.out)
	}
	if first.row == nil {
		delete(r.rows, key)
	} else {
		r.rows[key] = first.row
	}
	for _, e := range first.out {
		if !slices.Contains(r.def.Outputs, e.Topic) {
			r.t.Fatalf("proctest: %s emits to %s without declaring it", r.def.Name, e.Topic.Name)
		}
	}
	for _, e := range first.out {
		if e.Topic == r.def.Loop {
			r.loop = append(r.loop, e)
			continue
		}
		r.out = append(r.out, e)
	}
	return first.err
}

// Row is the stored row of a key; nil: none.
func (r *Run) Row(key string) []byte { return r.rows[key] }
