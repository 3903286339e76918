package table

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/loop"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// What docs/processor.md promises of a message of the loop whose sender's partition lagged, so that its
// time is before what the receiver's partition has seen.
func TestMessageOfTheLoopThatComesBehindPartitionTime(t *testing.T) {
	round := topics.Loop[string]("notes")
	heard := func(what string) func(*processors.Turn[notes], string) {
		return func(t *processors.Turn[notes], _ string) {
			t.State.Text += fmt.Sprintf("%s %d;", what, t.Now.UnixMilli())
			t.WakeAt(t.Now.Add(time.Second))
		}
	}
	w := newStill(t, processors.Define(processors.Processor[notes]{
		Name: "notes", Inputs: []processors.Input[notes]{processors.On(in, heard("record")), processors.On(round, heard("message"))},
		Wake: func(t *processors.Turn[notes]) { t.State.Text += fmt.Sprintf("wake %d;", t.Now.UnixMilli()) },
	}))
	message := func(offset int64, key string, ms int64) *kgo.Record {
		return &kgo.Record{Topic: round.Name, Key: []byte(key), Value: []byte(`"m"`), Offset: offset, Headers: loop.Headers(ms), Timestamp: time.UnixMilli(900_000)}
	}
	loopRead := func(input int, _ int64) (int64, bool) { return 999_000, input == 1 }
	expect := func(key, want string) {
		t.Helper()
		if text, _, _ := w.stored(key); text != want {
			t.Errorf("%s: %q, want %q", key, text, want)
		}
	}
	w.do(func() { w.Step(0, []*kgo.Record{rec(0, "ann", "n", 10_000), rec(1, "bob", "n", 20_000)}) })
	if got := w.Time(loopRead); got != 20_000 {
		t.Fatalf("partition time %d", got)
	}
	w.do(func() { w.Wake(20_000, 10) })
	expect("ann", "record 10000;wake 11000;")
	// Both were sent at 10,500. The timer of ann has fired, and stays so.
	w.do(func() { w.Step(1, []*kgo.Record{message(0, "ann", 10_500), message(1, "cid", 10_500)}) })
	expect("ann", "record 10000;wake 11000;message 11000;") // at the row's own time
	expect("cid", "message 10500;")
	// What it sets is due already, and fires with its own time, once the loop is read to its end.
	if got := w.Time(func(int, int64) (int64, bool) { return 0, false }); got != 10_500 {
		t.Errorf("with more in the loop, partition time is %d", got)
	}
	if due, ok := w.Due(w.Time(loopRead)); due != 11_500 || !ok {
		t.Errorf("due at %d, %v", due, ok)
	}
	w.do(func() { w.Wake(w.Time(loopRead), 10) })
	expect("cid", "message 10500;wake 11500;")
	expect("ann", "record 10000;wake 11000;message 11000;wake 12000;")
	// A timer that has not fired yet fires before a message that is later, and not before one that is earlier.
	w.do(func() { w.Step(0, []*kgo.Record{rec(2, "bob", "n", 20_100)}) })
	w.do(func() { w.Step(1, []*kgo.Record{message(2, "bob", 15_000)}) })
	expect("bob", "record 20000;record 20100;message 20100;")
	w.do(func() { w.Step(1, []*kgo.Record{message(3, "bob", 21_200)}) })
	expect("bob", "record 20000;record 20100;message 20100;wake 21100;message 21200;")
}
