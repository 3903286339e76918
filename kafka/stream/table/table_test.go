package table

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

var (
	in  = topics.Stream[string]("in")
	out = topics.Stream[string]("out")
)

// notes is a row: what it heard, one character each.
type notes struct{ Text string }

// def notes every event. "panic" panics half-way, "w<seconds>" sets a deadline, "q" one whose wake panics,
// and "g" one whose wake grows the row far too large, when nothing comes before; "x" forgets the row, and a
// wake notes 'W'.
var def = processors.Define(processors.Processor[notes]{
	Name: "notes", Outputs: []*topics.Spec{out.Spec}, MaxRowBytes: 100,
	Wake: func(t *processors.Turn[notes]) {
		last := t.State.Text[max(0, len(t.State.Text)-1):]
		t.State.Text += "W"
		processors.Emit(t, out, t.Key, "woken")
		switch last {
		case "q":
			panic("as asked")
		case "g":
			t.State.Text += strings.Repeat("g", 200)
			t.WakeAt(t.Now.Add(time.Second))
		}
	},
	Inputs: []processors.Input[notes]{processors.On(in, func(t *processors.Turn[notes], v string) {
		t.State.Text += v[:1]
		switch v[0] {
		case 'p':
			t.State.Text = "garbage"
			panic("as asked")
		case 'w', 'q', 'g':
			t.WakeAt(t.Now.Add(time.Duration(len(v)) * time.Second))
		case 'x':
			t.Forget()
		}
		processors.Emit(t, out, t.Key, v)
	})},
})

func shared(now func() time.Time) *Shared {
	return &Shared{
		Def: def, Topic: "notes-table", CacheBytes: 3000, MaxBytes: func(string) int { return 1 << 20 },
		Views: func() ([]any, []int64) { return nil, nil }, Urgent: func() {}, Now: now, Count: &Counters{}, Log: slog.New(slog.DiscardHandler),
	}
}

func rec(offset int64, key, value string, ms int64) *kgo.Record {
	return &kgo.Record{Topic: "in", Key: []byte(key), Value: fmt.Appendf(nil, "%q", value), Offset: offset, Timestamp: time.UnixMilli(ms)}
}

// world is a partition beside a model of it: rows as the records would make them one by one.
type world struct {
	t      *rapid.T
	p      *Partition
	s      *store.Store
	ms     int64
	next   int64 // offset in the table
	offset int64 // of the input
	log    []*kgo.Record

	kept, open model
}

type model struct {
	rows  map[string]string // text
	wakes map[string]int64
	dead  int
	sent  int
	at    int64 // the input's next offset
}

func (m model) clone() model {
	m.rows, m.wakes = maps.Clone(m.rows), maps.Clone(m.wakes)
	return m
}

func (m *model) wake(key string, upTo int64) {
	if due := m.wakes[key]; due != 0 && due <= upTo {
		delete(m.wakes, key)
		if strings.HasSuffix(m.rows[key], "q") {
			m.dead++
			return
		}
		m.rows[key] += "W"
		m.sent++
	}
}

func (m *model) step(r *kgo.Record) {
	m.at = r.Offset + 1
	key, v := string(r.Key), strings.Trim(string(r.Value), `"`)
	m.wake(key, r.Timestamp.UnixMilli())
	switch v[0] {
	case 'p':
		m.dead++
		return
	case 'x':
		delete(m.rows, key)
		delete(m.wakes, key)
	default:
		m.rows[key] += v[:1]
		if v[0] == 'w' || v[0] == 'q' {
			m.wakes[key] = r.Timestamp.UnixMilli() + int64(len(v))*1000
		}
	}
	m.sent++
}

func (w *world) step(r *kgo.Record) {
	w.p.Step(0, []*kgo.Record{r})
	w.open.step(r)
}

func (w *world) wake(upTo int64) {
	w.p.Wake(upTo, 1000)
	for key := range maps.Clone(w.open.wakes) {
		// Only committed deadlines are in the index.
		if due := w.kept.wakes[key]; due != 0 && due <= upTo {
			w.open.wake(key, upTo)
		}
	}
}

// end commits, or aborts and steps everything since the last commit again.
func (w *world) end(commit bool) {
	for {
		recs, err := w.p.Outgoing()
		if err == nil && commit {
			w.commit(recs)
			return
		}
		if err != nil && !errors.Is(err, ErrRetry) {
			w.t.Fatalf("Outgoing: %v", err)
		}
		w.p.Aborted()
		w.open = w.kept.clone()
		commit = true
		for _, r := range w.log {
			if r.Offset >= w.kept.at {
				w.step(r)
			}
		}
	}
}

func (w *world) commit(recs []*kgo.Record) {
	dead, sent := 0, 0
	for _, r := range recs {
		switch r.Topic {
		case "notes-table":
			r.Offset = w.next
			w.next++
		case "out":
			sent++
		default:
			dead++
		}
	}
	if want := w.open.sent - w.kept.sent; sent != want {
		w.t.Fatalf("%d outputs, want %d", sent, want)
	}
	if want := w.open.dead - w.kept.dead; dead != want {
		w.t.Fatalf("%d dead letters, want %d", dead, want)
	}
	if err := w.p.Committed(); err != nil {
		w.t.Fatal(err)
	}
	w.next++ // a marker
	w.kept = w.open.clone()
	w.check()
}

func (w *world) check() {
	got, wakes := map[string]string{}, map[string]int64{}
	if err := w.s.Each(func(k, v []byte) error {
		row := &schemas.Row{}
		if err := row.UnmarshalVT(v); err != nil {
			return err
		}
		got[string(k)] = string(row.State)
		if row.WakeMs != 0 {
			wakes[string(k)] = row.WakeMs
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	want := map[string]string{}
	for k, text := range w.kept.rows {
		want[k] = fmt.Sprintf(`{"Text":%q}`, text)
	}
	if !maps.Equal(got, want) {
		w.t.Fatalf("rows %v, want %v", got, want)
	}
	if !maps.Equal(wakes, w.kept.wakes) {
		w.t.Fatalf("deadlines %v, want %v", wakes, w.kept.wakes)
	}
	indexed := map[string]int64{}
	for k, d := range w.p.deadlines.byKey {
		indexed[k] = d.ms
	}
	if !maps.Equal(indexed, wakes) {
		w.t.Fatalf("index %v, the rows say %v", indexed, wakes)
	}
	if w.p.Position(0) != w.kept.at && w.kept.at != 0 {
		w.t.Fatalf("position %d, want %d", w.p.Position(0), w.kept.at)
	}
}

// However transactions end, and whatever panics between, rows, deadlines and outputs are those of
// stepping each record once.
func TestPartitionEqualsItsRecordsSteppedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, s: store.Memory(), ms: 1_000_000, kept: model{rows: map[string]string{}, wakes: map[string]int64{}}}
		w.open = w.kept.clone()
		clock := time.UnixMilli(w.ms)
		w.p = New(shared(func() time.Time { return clock }), 0, w.s)
		t.Repeat(map[string]func(*rapid.T){
			"step": func(t *rapid.T) {
				w.ms += rapid.Int64Range(0, 3000).Draw(t, "later")
				r := rec(w.offset, rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key"),
					rapid.SampledFrom([]string{"n", "n", "m", "w", "ww", "wwww", "q", "qqq", "x", "panic"}).Draw(t, "value"), w.ms)
				w.offset++
				w.log = append(w.log, r)
				for _, text := range w.open.rows {
					if len(text) > 60 {
						t.Skip("rows at their limit are another test's")
					}
				}
				w.step(r)
			},
			"wake":   func(*rapid.T) { w.wake(w.ms) },
			"commit": func(*rapid.T) { w.end(true) },
			"abort":  func(*rapid.T) { w.end(false) },
			"calm":   func(*rapid.T) { clock = clock.Add(2 * carefully) },
			"restart": func(t *rapid.T) {
				w.end(true)
				w.p = New(w.p.Shared, 0, w.s)
				if err := w.p.Ready(); err != nil {
					t.Fatal(err)
				}
				w.p.inputs[0].next, w.p.inputs[0].keptNext = w.kept.at, w.kept.at
			},
		})
	})
}

func TestDeadlinesComeInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d deadlines
		want := map[string]int64{}
		for range rapid.IntRange(0, 200).Draw(t, "n") {
			key := rapid.StringMatching(`[a-z]`).Draw(t, "key")
			ms := rapid.Int64Range(0, 50).Draw(t, "ms")
			d.set(key, ms)
			if want[key] = ms; ms == 0 {
				delete(want, key)
			}
		}
		var order []deadline
		for key, ms := range want {
			order = append(order, deadline{ms, key})
		}
		slices.SortFunc(order, func(a, b deadline) int {
			if a.ms != b.ms {
				return int(a.ms - b.ms)
			}
			return strings.Compare(a.key, b.key)
		})
		for _, o := range order {
			got, ok := d.first()
			if !ok || got != o {
				t.Fatalf("first is %v %v, want %v", got, ok, o)
			}
			d.set(got.key, 0)
		}
		if d.len() != 0 {
			t.Fatalf("%d are left", d.len())
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	s := shared(time.Now)
	p := New(s, 0, store.Memory())
	most := 0
	for i := range int64(2000) {
		p.Step(0, []*kgo.Record{rec(i, fmt.Sprint("user-", i), "n", 1)})
		recs, err := p.Outgoing()
		if err != nil {
			t.Fatal(err)
		}
		recs[0].Offset = i
		if err := p.Committed(); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(p.rows.young)+len(p.rows.old))
	}
	if limit := int(s.CacheBytes/rowOverhead) + 2; most > limit {
		t.Errorf("%d rows in memory, at most %d fit", most, limit)
	}
	if most < 4 {
		t.Errorf("only %d rows in memory", most)
	}
}

func TestRowsAreWrittenOncePerTransaction(t *testing.T) {
	p := New(shared(time.Now), 3, store.Memory())
	for i := range int64(50) {
		p.Step(0, []*kgo.Record{rec(i, "a", "n", 1)})
	}
	recs, err := p.Outgoing()
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, r := range recs {
		if r.Topic == "notes-table" {
			rows++
			if r.Partition != 3 || !bytes.Contains(r.Value, []byte(strings.Repeat("n", 50))) {
				t.Errorf("row in partition %d: %s", r.Partition, r.Value)
			}
		}
	}
	if rows != 1 || len(recs) != 51 {
		t.Errorf("%d rows, %d records", rows, len(recs))
	}
}
