package table

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// still is a partition with a store, whose transactions are ended by hand.
type still struct {
	*Partition
	t   *testing.T
	s   *store.Store
	now time.Time
}

func newStill(t *testing.T, d *processors.Def) *still {
	w := &still{t: t, s: store.Memory(), now: time.UnixMilli(1_000_000)}
	sh := shared(func() time.Time { return w.now })
	sh.Def = d
	w.Partition = New(sh, 3, w.s)
	return w
}

// do does something as the driver would: again, with care, when it fails. It returns the dead letters and
// how many outputs there were.
func (w *still) do(f func()) (letters []*schemas.DeadLetter, outputs int) {
	w.t.Helper()
	for range 3 {
		f()
		recs, err := w.Outgoing()
		if errors.Is(err, ErrRetry) {
			w.Aborted()
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range recs {
			switch r.Topic {
			case topics.DeadLetters.Name:
				d, err := topics.DeadLetters.Codec.Decode(r.Value)
				if err != nil {
					w.t.Fatal(err)
				}
				letters = append(letters, d)
			case out.Name:
				outputs++
			}
		}
		if stepped, rejected, first := w.Judged(); stepped < rejected || rejected != int64(len(letters)) || (first != "") != (rejected > 0) {
			w.t.Errorf("judged: %d stepped, %d rejected, first %q; %d letters", stepped, rejected, first, len(letters))
		}
		if err := w.Committed(); err != nil {
			w.t.Fatal(err)
		}
		return letters, outputs
	}
	w.t.Fatal("it fails again and again")
	return nil, 0
}

// row is the stored text, deadline and time.
func (w *still) stored(key string) (string, int64, int64) {
	w.t.Helper()
	v, err := w.s.Get([]byte(key))
	if err != nil {
		w.t.Fatal(err)
	}
	var e schemas.Row
	if err := e.UnmarshalVT(v); err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(e.State), `{"Text":"`), `"}`), e.WakeMs, e.TimeMs
}

// A wake that panics, or grows its row too far, leaves a dead letter and takes its deadline with it,
// whether it comes by time or with its row's next record; and never comes again.
func TestWakeThatFailsIsRejectedOnceAndItsRowGoesOn(t *testing.T) {
	for value, why := range map[string]string{"q": "panic: as asked", "g": "bytes, at most 100 are kept"} {
		for _, byRecord := range []bool{false, true} {
			w := newStill(t, def)
			w.do(func() { w.Step(0, []*kgo.Record{rec(0, "a", value, 1000)}) })
			if due, ok := w.Due(5000); due != 2000 || !ok {
				t.Fatalf("due at %d, %v", due, ok)
			}
			letters, outputs := w.do(func() {
				if byRecord {
					w.Step(0, []*kgo.Record{rec(1, "b", "n", 5000), rec(2, "a", "n", 5000)})
				} else {
					w.Wake(5000, 10)
				}
			})
			text, wakeMS, timeMS := w.stored("a")
			wantText, wantOut, wantTime := value, 0, int64(2000)
			if byRecord {
				wantText, wantOut, wantTime = value+"n", 2, 5000
			}
			if text != wantText || wakeMS != 0 || timeMS != wantTime || outputs != wantOut {
				t.Errorf("%s, by record %v: row %q, deadline %d, time %d, %d outputs", value, byRecord, text, wakeMS, timeMS, outputs)
			}
			if len(letters) != 1 {
				t.Fatalf("%s, by record %v: letters %v", value, byRecord, letters)
			}
			d := letters[0]
			if d.Topic != "notes-table" || d.Partition != 3 || d.Offset != -1 || string(d.Key) != "a" || d.WakeMs != 2000 || d.By != "notes" ||
				!strings.Contains(d.Error, why) || (value == "q") != strings.Contains(d.Stack, "table_test.go") {
				t.Errorf("%s: letter %v", value, d)
			}
			if due, ok := w.Due(1 << 50); ok {
				t.Errorf("%s: due again at %d", value, due)
			}
			again := New(w.Shared, 3, w.s) // a restart
			if err := again.Ready(); err != nil || again.Deadlines() != 0 {
				t.Errorf("%s: %d deadlines after a restart, %v", value, again.Deadlines(), err)
			}
		}
	}
}

// chain counts its wakes, one a second; the third and the fifth fail.
var chain = processors.Define(processors.Processor[notes]{
	Name: "notes", Outputs: []*topics.Spec{out.Spec}, MaxRowBytes: 100,
	Wake: func(t *processors.Turn[notes]) {
		n := (t.Now.UnixMilli() - 1000) / 1000
		t.State.Text += string(rune('0' + n))
		processors.Emit(t, out, t.Key, "woken")
		t.WakeAt(t.Now.Add(time.Second))
		if n == 3 {
			panic("the third")
		}
	},
	Inputs: []processors.Input[notes]{processors.On(in, func(t *processors.Turn[notes], v string) {
		t.State.Text += v
		t.WakeAt(t.Now.Add(time.Second))
	})},
})

// Of several deadlines that come at once, those before the one that fails stand.
func TestDeadlinesBeforeTheOneThatFailsStand(t *testing.T) {
	w := newStill(t, chain)
	w.do(func() { w.Step(0, []*kgo.Record{rec(0, "a", "n", 1000)}) })
	letters, outputs := w.do(func() { w.Wake(9000, 10) })
	text, wakeMS, timeMS := w.stored("a")
	if len(letters) != 1 || letters[0].WakeMs != 4000 || outputs != 2 || text != "n12" || wakeMS != 0 || timeMS != 4000 {
		t.Errorf("letters %v, %d outputs, row %q, deadline %d, time %d", letters, outputs, text, wakeMS, timeMS)
	}
	// The next record sets a deadline as ever.
	letters, _ = w.do(func() { w.Step(0, []*kgo.Record{rec(1, "a", "m", 9000)}) })
	if text, wakeMS, _ := w.stored("a"); len(letters) != 0 || text != "n12m" || wakeMS != 10_000 {
		t.Errorf("letters %v, row %q, deadline %d", letters, text, wakeMS)
	}
}

// A limit that was lowered below what rows have: their wakes are rejected, and the rows, larger than they
// might be, lose their deadlines.
func TestWakeOfARowThatIsTooLargeAlready(t *testing.T) {
	w := newStill(t, def)
	w.do(func() { w.Step(0, []*kgo.Record{rec(0, "a", "n", 1000), rec(1, "a", "w", 1000)}) })
	lower := *def
	lower.MaxRowBytes = 8
	w.Def = &lower
	letters, outputs := w.do(func() { w.Wake(9000, 10) })
	text, wakeMS, _ := w.stored("a")
	if len(letters) != 1 || !strings.Contains(letters[0].Error, "at most 8") || outputs != 0 || text != "nw" || wakeMS != 0 {
		t.Errorf("letters %v, %d outputs, row %q, deadline %d", letters, outputs, text, wakeMS)
	}
}

// A row that outlives its deadline, because the wake failed, ends by its TTL from then on.
func TestRowWhoseWakeFailedEndsByItsTTL(t *testing.T) {
	ending := *def
	ending.TTL = 10 * time.Second
	w := newStill(t, &ending)
	w.do(func() { w.Step(0, []*kgo.Record{rec(0, "a", strings.Repeat("q", 60), 1000)}) })
	if letters, _ := w.do(func() { w.Wake(61_000, 10) }); len(letters) != 1 || letters[0].WakeMs != 61_000 {
		t.Fatalf("letters %v", letters)
	}
	if due, _ := w.Due(1 << 50); due != 71_000 {
		t.Fatalf("the row ends at %d", due)
	}
	if letters, _ := w.do(func() { w.Wake(71_000, 10) }); len(letters) != 0 || w.Deadlines() != 0 {
		t.Errorf("letters %v, %d deadlines", letters, w.Deadlines())
	}
	if v, err := w.s.Get([]byte("a")); err != nil || v != nil {
		t.Errorf("row %q, %v", v, err)
	}
}

// blind has rows that cannot be encoded any more once they are read.
type blind struct{ schemas.JSON[*notes] }

func (b blind) Append(dst []byte, n *notes) ([]byte, error) {
	if n.Text == "n" {
		panic("cannot be encoded")
	}
	return b.JSON.Append(dst, n)
}

// A row that cannot be encoded before a step is nobody's fault, and never replaced by another one's.
func TestRowThatCannotBeEncodedBeforeAStepIsFatal(t *testing.T) {
	w := newStill(t, def)
	w.do(func() { w.Step(0, []*kgo.Record{rec(0, "a", "n", 1000), rec(1, "b", "m", 1000)}) })
	w.Def = processors.Define(processors.Processor[notes]{
		Name: "notes", Row: blind{}, Inputs: []processors.Input[notes]{processors.On(in, func(t *processors.Turn[notes], v string) {
			t.State.Text += v
			panic("as asked")
		})},
	})
	p := New(w.Shared, 3, w.s)
	bad := []*kgo.Record{rec(2, "b", "n", 2000), rec(3, "a", "n", 2000)}
	p.Step(0, bad)
	if _, err := p.Outgoing(); !errors.Is(err, ErrRetry) {
		t.Fatalf("first try: %v", err)
	}
	p.Aborted()
	p.Step(0, bad)
	if _, err := p.Outgoing(); err == nil || errors.Is(err, ErrRetry) || !strings.Contains(err.Error(), "cannot be encoded") {
		t.Errorf("with care: %v", err)
	}
}

// gone are tables whose store cannot be read.
type gone struct{}

func (gone) Hold(int32) ([]int64, func())           { return []int64{0}, func() {} }
func (gone) Parts() []int32                         { return []int32{1} }
func (gone) Row(int32, int, string) ([]byte, error) { return nil, errors.New("the disk is gone") }

// A wake that fails because a local store cannot be read is not rejected: the processor ends, and the
// wake comes again.
func TestWakeIsNotBlamedForAStoreThatCannotBeRead(t *testing.T) {
	list := &processors.Table[notes]{Processor: "list"}
	w := newStill(t, def)
	w.do(func() { w.Step(0, []*kgo.Record{rec(0, "a", "w", 1000)}) })
	w.Def = processors.Define(processors.Processor[notes]{
		Name: "notes", Lookups: []processors.AnyTable{list},
		Wake:   func(t *processors.Turn[notes]) { processors.Lookup(t, list, "b") },
		Inputs: []processors.Input[notes]{processors.On(in, func(*processors.Turn[notes], string) {})},
	})
	w.Tables = gone{}
	p := New(w.Shared, 3, w.s)
	if err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	for _, careful := range []bool{false, true} {
		p.careful = careful
		p.Wake(9000, 10)
		if _, err := p.Outgoing(); err == nil || errors.Is(err, ErrRetry) || !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("careful %v: %v", careful, err)
		}
		p.Aborted()
		p.fatal = nil
		if p.Deadlines() != 1 {
			t.Errorf("careful %v: %d deadlines are left", careful, p.Deadlines())
		}
	}
}
