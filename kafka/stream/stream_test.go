package stream

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// counting counts and sums the numbers of in, and passes every tenth on to out.
func counting(name string, in, out topics.Topic[uint64]) *processors.Def {
	return processors.Define(processors.Processor[tally]{
		Name: name, Row: tallyCodec{}, Outputs: []*topics.Spec{out.Spec},
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) {
			t.State.N++
			t.State.Sum += v
			if v%10 == 0 {
				processors.Emit(t, out, t.Key, v)
			}
		})},
	})
}

func (w *world) counting() (*processors.Def, topics.Topic[uint64], topics.Topic[uint64]) {
	in, out := numbers(w.name("in")), numbers(w.name("out"))
	w.ensure(in.Spec, out.Spec)
	return counting(w.id, in, out), in, out
}

// checkCounts compares rows and outputs with what was sent: number i went to user i%users.
func (w *world) checkCounts(def *processors.Def, out topics.Topic[uint64], n, users int) {
	w.t.Helper()
	want := map[string]tally{}
	for i := range n {
		u := user(i % users)
		want[u] = tally{want[u].N + 1, want[u].Sum + uint64(i)}
	}
	wrong := 0
	rows := w.rows(def)
	for u, c := range want {
		got, err := tallyCodec{}.Decode(rows[u])
		if err != nil || *got != c {
			if wrong++; wrong < 5 {
				w.t.Errorf("row of %s: %+v %v, want %+v", u, got, err, c)
			}
		}
	}
	if len(rows) != len(want) {
		w.t.Errorf("%d rows, want %d", len(rows), len(want))
	}
	seen := map[uint64]int{}
	for _, r := range w.read(out.Name) {
		v, err := out.Codec.Decode(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		seen[v]++
	}
	for i := 0; i < n; i += 10 {
		if seen[uint64(i)] != 1 {
			if wrong++; wrong < 10 {
				w.t.Errorf("output %d came %d times", i, seen[uint64(i)])
			}
		}
	}
	if len(seen) != (n+9)/10 {
		w.t.Errorf("%d different outputs, want %d", len(seen), (n+9)/10)
	}
}

func user(i int) string { return schemas.Key("acme", fmt.Sprintf("user-%d", i)) }

// sendNumbers sends first to last-1.
func (w *world) sendNumbers(in topics.Topic[uint64], first, last, users int) {
	w.t.Helper()
	recs := make([]*kgo.Record, 0, last-first)
	for i := first; i < last; i++ {
		recs = append(recs, numberRecord(in.Name, user(i%users), uint64(i)))
	}
	w.send(recs...)
}

func TestEachRecordCountsOnceAcrossRestarts(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	const users, step = 100, 2000
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	for round := range 3 {
		w.sendNumbers(in, round*step, (round+1)*step, users)
		r := w.run(cfg, def)
		until(t, "all committed", func() bool { return w.committed(def, in.Name) == int64((round+1)*step) })
		r.stop()
	}
	w.checkCounts(def, out, 3*step, users)
}
