package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// realBrokers is a real Kafka: that of DWELL_TEST_BROKERS, or one that this test starts.
func realBrokers(t *testing.T) site {
	t.Helper()
	if os.Getenv("DWELL_TEST_BROKERS") != "" {
		return brokers(t)
	}
	k, err := embedded.StartRealKafka(t.Context(), embedded.RealKafkaConfig{Dir: t.TempDir(), HeapMB: 256})
	if errors.Is(err, embedded.ErrNoJava) || errors.Is(err, embedded.ErrNoMaven) {
		t.Skipf("a real Kafka needs Java and Maven: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("stop Kafka: %v", err)
		}
	})
	return site{addrs: k.Addrs()}
}

const (
	lives    = 40   // users
	events   = 3000 // numbers sent
	poison   = 500  // every so many panics
	lifeTTL  = 30 * time.Minute
	lifeWake = 5 * time.Minute
)

// life is a row that comes out the same however records and messages of the loop meet.
type life struct{ N, Sum, Messages, Heard, Woken uint64 }

// alive is a processor with everything that one can declare, and what it reads and writes.
type alive struct {
	def          *processors.Def
	in, out      topics.Topic[uint64]
	people, list *processors.Table[tally]
}

// everything adds each number, times its user's row among people and with a row of list, sends it round
// to another user, who adds it too, and emits it. A zero sets a timer, which emits the sum.
func everything(id string) alive {
	a := alive{
		in: numbers(id + ".in"), out: numbers(id + ".out"),
		people: &processors.Table[tally]{Processor: id + "-people", Row: tallyCodec{}}, list: &processors.Table[tally]{Processor: id + "-list", Row: tallyCodec{}},
	}
	loop := topics.Loop[uint64](id)
	worth := func(t *processors.Turn[life], v uint64) uint64 {
		return v*processors.Join(t, a.people).Sum + processors.Lookup(t, a.list, fmt.Sprint("list-", v%5)).Sum
	}
	a.def = processors.Define(processors.Processor[life]{
		Name: id, Journal: true, TTL: lifeTTL, Outputs: []*topics.Spec{a.out.Spec},
		Joins: []processors.AnyTable{a.people}, Lookups: []processors.AnyTable{a.list},
		Inputs: []processors.Input[life]{
			processors.On(a.in, func(t *processors.Turn[life], v uint64) {
				if v == 0 {
					t.WakeAt(t.Now.Add(lifeWake))
					return
				}
				t.State.N++
				t.State.Sum += worth(t, v)
				processors.Emit(t, a.out, t.Key, worth(t, v))
				processors.Loop(t, loop, user(int(v*7)%lives), v)
				if v%poison == 13 {
					panic("as asked")
				}
			}),
			processors.On(loop, func(t *processors.Turn[life], v uint64) {
				t.State.Messages++
				t.State.Heard += worth(t, v)
			}),
		},
		Wake: func(t *processors.Turn[life]) {
			t.State.Woken++
			processors.Emit(t, a.out, t.Key, t.State.Sum+t.State.Heard)
			if t.Key == user(0) {
				panic("a wake's")
			}
		},
	})
	return a
}

// lived is what a run left.
type lived struct {
	rows    map[string]string // with deadline and time
	outputs map[string][]uint64
	letters []string
}

// expected is that, worked out from the numbers alone.
func expected(base time.Time) lived {
	rows, l := map[string]*life{}, lived{map[string]string{}, map[string][]uint64{}, nil}
	for i := range lives {
		rows[user(i)] = &life{}
	}
	worth := func(key, v int) uint64 { return uint64(v*(key+1) + 100 + v%5) }
	for v := 1; v <= events; v++ {
		if v%poison == 13 {
			l.letters = append(l.letters, "panic: as asked")
			continue
		}
		from, to := v%lives, v*7%lives
		rows[user(from)].N++
		rows[user(from)].Sum += worth(from, v)
		rows[user(to)].Messages++
		rows[user(to)].Heard += worth(to, v)
		l.outputs[user(from)] = append(l.outputs[user(from)], worth(from, v))
	}
	for i := 0; i < lives; i += 2 { // the others had no timer, and ended
		r := rows[user(i)]
		if i > 0 {
			r.Woken++
			l.outputs[user(i)] = append(l.outputs[user(i)], r.Sum+r.Heard)
		}
		state, _ := json.Marshal(r)
		l.rows[user(i)] = fmt.Sprintf("%s 0 %d", state, base.Add(lifeWake).UnixMilli())
	}
	l.letters = append(l.letters, "panic: a wake's")
	return l.sorted()
}

func (l lived) sorted() lived {
	for _, all := range l.outputs {
		slices.Sort(all)
	}
	slices.Sort(l.letters)
	return l
}

// live runs it all: numbers while the worker is killed again and again, then the timers, then the ends of
// rows. The clock stands at base while numbers come.
func (w *world) live(base time.Time) lived {
	a := everything(w.id)
	w.ensure(a.in.Spec, a.out.Spec, topics.Table(a.people.Processor, 1000), topics.Table(a.list.Processor, 1000))
	var rows []*kgo.Record
	put := func(table *processors.Table[tally], key string, sum uint64) {
		b, err := table.Append(nil, &tally{Sum: sum})
		if err != nil {
			w.t.Fatal(err)
		}
		rows = append(rows, &kgo.Record{Topic: topics.Table(table.Processor, 0).Name, Key: []byte(key), Value: b})
	}
	for i := range lives {
		put(a.people, user(i), uint64(i+1))
		put(a.list, fmt.Sprint("list-", i%5), uint64(100+i%5))
	}
	w.send(rows...)
	c := &crew{w: w, which: fmt.Sprint("everything@", base.UnixMilli()), dir: w.t.TempDir(), session: 6 * time.Second, workers: make([]*exec.Cmd, 1)}
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("worker:\n%s", tail(c.log(0)))
		}
	})
	c.start(0)
	var recs []*kgo.Record
	for v := 1; v <= events; v++ {
		recs = append(recs, timed(a.in.Name, user(v%lives), uint64(v), base.Add(time.Duration(v-events)*100*time.Millisecond)))
	}
	const third, chunk = events / 3, events / 30
	inMidst := 0
	for from := 0; from < events; from += third {
		w.send(recs[from : from+chunk]...)
		c.reach(a.def, a.in, int64(from+chunk))
		w.send(recs[from+chunk : from+third]...)
		c.kill(0) // in the midst of what it was just sent
		if w.committed(a.def, a.in.Name) < int64(from+third) {
			inMidst++
		}
		if from+third < events {
			c.start(0)
		}
	}
	if w.t.Logf("%d of 3 kills came while something was to be done", inMidst); inMidst == 0 {
		w.t.Error("no kill was in the midst of anything")
	}
	return w.outlive(a, base, filepath.Join(c.dir, "w0"))
}

// outlive goes on where the workers were killed, in this process, whose clock moves.
func (w *world) outlive(a alive, base time.Time, dir string) lived {
	clock := at(base)
	cfg := w.config("w0")
	cfg.Dir, cfg.DeadLetters.Percent = dir, 0
	r := w.runAt(clock, cfg, a.def)
	messages := func() (n int) {
		for _, b := range w.rows(a.def) {
			var l life
			if err := json.Unmarshal(b, &l); err != nil {
				w.t.Fatal(err)
			}
			n += int(l.Messages)
		}
		return n
	}
	until(w.t, "all numbers went round", func() bool { return messages() == events-events/poison })
	var arm []*kgo.Record
	for i := 0; i < lives; i += 2 {
		arm = append(arm, timed(a.in.Name, user(i), 0, base))
	}
	w.send(arm...)
	until(w.t, "the timers are set", func() bool { return w.committed(a.def, a.in.Name) == events+lives/2 })
	clock.set(base.Add(2 * lifeWake))
	until(w.t, "the wakes came", func() bool {
		return len(w.letters(a.def)) == events/poison+1 && len(w.read(a.out.Name)) == events-events/poison+lives/2-1
	})
	clock.set(base.Add(lifeTTL + 10*time.Second))
	until(w.t, "rows end", func() bool { return len(w.rows(a.def)) == lives/2 })
	r.stop()
	return w.lived(a)
}

// lived reads what the run left, and does it again from the journal.
func (w *world) lived(a alive) lived {
	w.t.Helper()
	report, err := journal.Replay(w.t.Context(), w.cfg, a.def, journal.All)
	if err != nil || report.Differences != 0 {
		w.t.Fatalf("replay: %+v, first %v, %v", report, report.First, err)
	}
	if report.Records != 2*events-events/poison+lives/2 || report.Rejected != events/poison || report.RejectedWakes != 1 || report.Wakes < lives || report.Rows < lives {
		w.t.Errorf("replay: %+v", report)
	}
	w.t.Logf("replay: %+v", report)
	l := lived{map[string]string{}, w.outputs(a.out), nil}
	for _, r := range w.read("dwell." + a.def.Name + "-table") {
		if r.Value == nil {
			delete(l.rows, string(r.Key))
			continue
		}
		var row schemas.Row
		if err := row.UnmarshalVT(r.Value); err != nil {
			w.t.Fatal(err)
		}
		l.rows[string(r.Key)] = fmt.Sprintf("%s %d %d", row.State, row.WakeMs, row.TimeMs)
	}
	for _, d := range w.letters(a.def) {
		l.letters = append(l.letters, d.Error)
	}
	return l.sorted()
}

func (l lived) compare(t *testing.T, where string, want lived) {
	t.Helper()
	if !maps.Equal(l.rows, want.rows) {
		t.Errorf("%s: rows %v, want %v", where, l.rows, want.rows)
	}
	if !reflect.DeepEqual(l.outputs, want.outputs) {
		t.Errorf("%s: outputs %v, want %v", where, l.outputs, want.outputs)
	}
	if !slices.Equal(l.letters, want.letters) {
		t.Errorf("%s: dead letters %q, want %q", where, l.letters, want.letters)
	}
}

// A processor with journal, join, look-up, loop, timers and ends of rows, whose worker is killed three
// times, leaves the same on a real Kafka as on the embedded one: what follows from its records.
func TestEverythingIsTheSameOnARealKafka(t *testing.T) {
	base := time.Now().Truncate(time.Millisecond)
	want := expected(base)
	newWorld(t, brokers(t)).live(base).compare(t, "embedded", want)
	if t.Failed() {
		return
	}
	newWorld(t, realBrokers(t)).live(base).compare(t, "real", want)
}
