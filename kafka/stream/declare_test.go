package stream

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// summing keeps the sum of the numbers in a topic; a zero forgets the row.
func (w *world) summing(name, in string, ttl time.Duration) *processors.Def {
	topic := numbers(in)
	w.ensure(topic.Spec)
	return processors.Define(processors.Processor[tally]{
		Name: name, Row: tallyCodec{}, TTL: ttl,
		Inputs: []processors.Input[tally]{processors.On(topic, func(t *processors.Turn[tally], v uint64) {
			if v == 0 {
				t.Forget()
			}
			t.State.N++
			t.State.Sum += v
		})},
	})
}

// reading joins and looks up a table each, and emits what it finds: 1000 times the own row's sum, and that
// of acme/list.
func (w *world) reading(in, joined, looked string) (*processors.Def, topics.Topic[uint64]) {
	topic, out := numbers(in), numbers(w.name("found"))
	w.ensure(topic.Spec, out.Spec)
	people := &processors.Table[tally]{Processor: joined, Row: tallyCodec{}}
	list := &processors.Table[tally]{Processor: looked, Row: tallyCodec{}}
	return processors.Define(processors.Processor[tally]{
		Name: w.id + "-reading", Row: tallyCodec{}, Outputs: []*topics.Spec{out.Spec},
		Joins: []processors.AnyTable{people}, Lookups: []processors.AnyTable{list},
		Inputs: []processors.Input[tally]{processors.On(topic, func(t *processors.Turn[tally], _ uint64) {
			found := uint64(0)
			if p := processors.Join(t, people); p != nil {
				found = 1000 * p.Sum
			}
			if p := processors.Lookup(t, list, "acme/list"); p != nil {
				found += p.Sum
			}
			t.State.N++
			processors.Emit(t, out, t.Key, found)
		})},
	}), out
}

// finds waits until records of these keys find what is in the tables.
func (w *world) finds(in string, out topics.Topic[uint64], want map[string]uint64) {
	w.t.Helper()
	sent := map[string]int{}
	for key, v := range w.outputs(out) {
		sent[key] = len(v)
	}
	for key, v := range want {
		until(w.t, fmt.Sprintf("%s finds %d", key, v), func() bool {
			w.send(numberRecord(in, key, 1))
			sent[key]++
			var got []uint64
			until(w.t, "an answer", func() bool { got = w.outputs(out)[key]; return len(got) >= sent[key] })
			return got[len(got)-1] == v
		})
	}
}

func TestJoinAndLookupReadOtherGroupsTables(t *testing.T) {
	w := newWorld(t, brokers(t))
	asks := w.name("asks")
	people := w.summing(w.id+"-people", w.name("people"), 0)
	list := w.summing(w.id+"-list", w.name("list"), 0)
	def, out := w.reading(asks, people.Name, list.Name)
	for _, d := range []*processors.Def{people, list} {
		w.ensure(topics.Table(d.Name, d.MaxRowBytes))
	}
	w.run(w.config("p"), people)
	w.run(w.config("l"), list)
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	r := w.run(cfg, def)
	r.untilReady()
	w.finds(asks, out, map[string]uint64{"acme/ann": 0})
	w.send(numberRecord(w.name("people"), "acme/ann", 3), numberRecord(w.name("people"), "acme/bob", 4), numberRecord(w.name("people"), "globex/ann", 5),
		numberRecord(w.name("list"), "acme/list", 7), numberRecord(w.name("list"), "globex/list", 9))
	w.finds(asks, out, map[string]uint64{"acme/ann": 3007, "acme/bob": 4007, "globex/ann": 5007, "acme/cid": 7})
	r.stop()
	// While it is away rows change, and one goes. It must know them all before it goes on.
	w.send(numberRecord(w.name("people"), "acme/ann", 10), numberRecord(w.name("people"), "acme/bob", 0), numberRecord(w.name("list"), "acme/list", 1))
	until(t, "the others have read that", func() bool {
		return w.committed(people, w.name("people")) == 5 && w.committed(list, w.name("list")) == 3
	})
	stores, err := filepath.Glob(filepath.Join(cfg.Dir, "*-tables", "*", "*"))
	if err != nil || len(stores) != 8 {
		t.Fatalf("local stores: %v, %v", stores, err)
	}
	if err := os.RemoveAll(stores[0]); err != nil { // one is lost
		t.Fatal(err)
	}
	before := len(w.outputs(out)["acme/ann"])
	w.send(numberRecord(asks, "acme/ann", 1), numberRecord(asks, "acme/bob", 1))
	r = w.run(cfg, def)
	until(t, "an answer", func() bool { return len(w.outputs(out)["acme/ann"]) > before })
	if got := w.outputs(out)["acme/ann"]; got[before] != 13008 {
		t.Errorf("the first answer after the restart is %d", got[before])
	}
	w.finds(asks, out, map[string]uint64{"acme/bob": 8, "globex/ann": 5008})
	// Another instance gets half of the partitions, and gives them back.
	other := w.run(w.config("b"), def)
	until(t, "both have partitions", func() bool {
		return other.Ready() && r.Ready() && len(other.Status().Partitions) == 2 && len(r.Status().Partitions) == 2
	})
	w.send(numberRecord(w.name("people"), "acme/cid", 6))
	w.finds(asks, out, map[string]uint64{"acme/ann": 13008, "acme/bob": 8, "globex/ann": 5008, "acme/cid": 6008})
	r.stop()
	w.finds(asks, out, map[string]uint64{"acme/ann": 13008, "acme/bob": 8, "globex/ann": 5008, "acme/cid": 6008})
}

func TestJoinedTableMustBeCopartitioned(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, _ := w.reading(w.name("asks"), w.id+"-people", w.id+"-list")
	w.ensure(topics.Table(w.id+"-list", 1))
	other := topics.Table(w.id+"-people", 1)
	other.Partitions = 3
	w.ensure(other)
	p, err := New(w.config("a"), def)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "-people-table has 3 partitions") {
		t.Errorf("Run: %v", err)
	}
}

// relayed is a row of a receiver.
type relayed struct {
	N, Sum uint64
	// Last number of each sender, to see the order.
	Last  map[string]uint64
	Wrong int
}

// Every message that goes round the loop is stepped once, in its sender's order, whatever the worker
// goes through meanwhile.
func TestLoopIsExactlyOnceAndInOrder(t *testing.T) {
	w := newWorld(t, brokers(t))
	in, loop := numbers(w.name("in")), topics.Loop[map[string]uint64](w.id)
	w.ensure(in.Spec)
	def := processors.Define(processors.Processor[relayed]{
		Name: w.id,
		Inputs: []processors.Input[relayed]{
			processors.On(in, func(t *processors.Turn[relayed], v uint64) {
				processors.Loop(t, loop, fmt.Sprint("acme/to-", v%7), map[string]uint64{t.Key: v})
				if t.Same(); v%1000 == 999 {
					panic("as asked")
				}
			}),
			processors.On(loop, func(t *processors.Turn[relayed], m map[string]uint64) {
				s := t.State
				if s.Last == nil {
					s.Last = map[string]uint64{}
				}
				for from, v := range m {
					if s.Last[from] >= v {
						s.Wrong++
					}
					s.Last[from] = v
					s.N++
					s.Sum += v
				}
			}),
		},
	})
	const count = 6000
	want := map[string]relayed{}
	var recs []*kgo.Record
	for v := uint64(1); v <= count; v++ {
		recs = append(recs, timed(in.Name, "acme/from-"+user(int(v%40)), v, noon))
		if v%1000 != 999 {
			key := fmt.Sprint("acme/to-", v%7)
			m := want[key]
			m.N, m.Sum = m.N+1, m.Sum+v
			want[key] = m
		}
	}
	r := w.run(w.config("a"), def)
	w.send(recs[:count/3]...)
	until(t, "some are stepped", func() bool { return w.committed(def, in.Name) > count/6 })
	if w.fake != nil { // transactions with messages of the loop in them are taken back
		for _, topic := range []string{loop.Name, "dwell." + def.Name + "-table"} {
			w.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.UnknownServerError, Count: 3})
		}
	}
	b := w.run(w.config("b"), def)
	w.send(recs[count/3:]...)
	until(t, "more are stepped", func() bool { return w.committed(def, in.Name) > count/2 })
	r.stop()
	total := func() (n uint64) {
		for _, b := range w.rows(def) {
			var s relayed
			if err := json.Unmarshal(b, &s); err != nil {
				t.Fatal(err)
			}
			n += s.N
		}
		return n
	}
	until(t, "all went round", func() bool { return total() >= count-count/1000 })
	for key, b := range w.rows(def) {
		var s relayed
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if s.Wrong != 0 || s.N != want[key].N || s.Sum != want[key].Sum {
			t.Errorf("%s: %d out of order, %d messages (want %d), sum %d (want %d)", key, s.Wrong, s.N, want[key].N, s.Sum, want[key].Sum)
		}
	}
	w.stamped(def, loop.Name)
	if n := r.Status().Aborts + b.Status().Aborts; w.fake != nil && n < 2 {
		t.Errorf("%d transactions were taken back", n)
	}
	if n := len(w.letters(def)); n != count/1000 {
		t.Errorf("%d dead letters", n)
	}
}

// stamped: what went round was stepped at its sender's time, which is not when it was written.
func (w *world) stamped(def *processors.Def, loop string) {
	w.t.Helper()
	for _, r := range w.read("dwell." + def.Name + "-table") {
		var row schemas.Row
		if err := row.UnmarshalVT(r.Value); err != nil || row.TimeMs != noon.UnixMilli() {
			w.t.Fatalf("row %s is of %d, %v", r.Key, row.TimeMs, err)
		}
	}
	for _, r := range w.read(loop) {
		if time.Since(r.Timestamp).Abs() > time.Hour {
			w.t.Fatalf("a message of the loop was written at %v: retention may take it", r.Timestamp)
		}
	}
}

// A row ends, in the table and in the local store, when its time is over by record time or, with the log
// read to its end, by the clock; a restart and another instance go on with it.
func TestRowsEndAfterTheirTTL(t *testing.T) {
	w := newWorld(t, brokers(t))
	in := w.name("in")
	def := w.summing(w.id, in, time.Hour)
	c := at(noon)
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	r := w.runAt(c, cfg, def)
	r.untilReady() // the table is there
	w.send(timed(in, "acme/ann", 1, noon), timed(in, "acme/bob", 1, noon), timed(in, "globex/ann", 1, noon))
	until(t, "all rows are there", func() bool { return len(w.rows(def)) == 3 })
	c.set(noon.Add(59 * time.Minute))
	w.send(timed(in, "acme/bob", 1, noon.Add(59*time.Minute)))
	until(t, "read", func() bool { return w.committed(def, in) == 4 })
	r.stop()
	c.set(noon.Add(59*time.Minute + 59*time.Second))
	r = w.runAt(c, cfg, def)
	r.untilReady()
	w.send(timed(in, "acme/cid", 1, noon.Add(59*time.Minute+59*time.Second)))
	until(t, "read", func() bool { return w.committed(def, in) == 5 })
	if n := len(w.rows(def)); n != 4 {
		t.Fatalf("%d rows before any is over", n)
	}
	c.set(noon.Add(61*time.Minute + 2*time.Second))
	until(t, "two rows end", func() bool { return len(w.rows(def)) == 2 })
	r.stop()
	// The store of the next instance is empty: it knows from the table alone when the others end.
	c.set(noon.Add(3 * time.Hour))
	r = w.runAt(c, w.config("b"), def)
	until(t, "all rows end", func() bool { return len(w.rows(def)) == 0 })
	r.stop()
	tombs := map[string]int{}
	for _, rec := range w.read("dwell." + def.Name + "-table") {
		if rec.Value == nil {
			tombs[string(rec.Key)]++
		}
	}
	if len(tombs) != 4 || tombs["acme/ann"] != 1 || tombs["acme/bob"] != 1 {
		t.Errorf("tombstones: %v", tombs)
	}
	w.hasNoRows(cfg, def)
}

// hasNoRows: nor has the first instance's own store any, once it has seen the rest of the table.
func (w *world) hasNoRows(cfg Config, def *processors.Def) {
	w.t.Helper()
	r := w.runAt(at(noon.Add(3*time.Hour)), cfg, def)
	r.untilReady()
	defer r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, part := range r.parts {
		if d := part.Deadlines(); d != 0 {
			w.t.Errorf("partition %d still waits for %d rows", n, d)
		}
	}
}
