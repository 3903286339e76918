package stream

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/kafka/stream/brake"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// growing keeps what it hears. It panics at "boom", and emits what follows "emit:", twice when long.
func (w *world) growing() (*processors.Def, topics.Topic[string], topics.Topic[string]) {
	in, out := topics.Stream[string](w.name("in")), topics.Stream[string](w.name("out"))
	w.ensure(in.Spec, out.Spec)
	return processors.Define(processors.Processor[[]string]{
		Name: w.id, Outputs: []*topics.Spec{out.Spec}, MaxRowBytes: 2000,
		Inputs: []processors.Input[[]string]{processors.On(in, func(t *processors.Turn[[]string], v string) {
			*t.State = append(*t.State, v)
			if text, ok := strings.CutPrefix(v, "emit:"); ok {
				if len(text) > 10_000 {
					text += text
				}
				processors.Emit(t, out, t.Key, text)
			}
			if v == "boom" {
				*t.State = append(*t.State, "half done")
				panic("no such thing")
			}
		})},
	}), in, out
}

func (w *world) sendText(in topics.Topic[string], key string, values ...string) {
	w.t.Helper()
	var recs []*kgo.Record
	for _, v := range values {
		b, err := in.Codec.Append(nil, v)
		if err != nil {
			w.t.Fatal(err)
		}
		recs = append(recs, &kgo.Record{Topic: in.Name, Key: []byte(key), Value: b})
	}
	w.send(recs...)
}

func TestBadRecordsGoToTheDeadLettersAndTheRestGoesOn(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.growing()
	long := strings.Repeat("x", 1500)
	w.sendText(in, "acme/ann", "emit:one", "boom", "emit:two")
	w.sendText(in, "acme/bob", long, long, "small", long) // the second and fourth would not fit
	w.sendText(in, "acme/cid", "emit:"+strings.Repeat("y", 550_000), "after")
	w.send(
		&kgo.Record{Topic: in.Name, Key: []byte("acme/dan"), Value: []byte("no JSON")},
		&kgo.Record{Topic: in.Name, Key: []byte("acme/dan"), Value: nil},
		&kgo.Record{Topic: in.Name, Key: nil, Value: []byte(`"whose?"`)},
	)
	w.sendText(in, "acme/dan", "fine")
	r := w.run(w.config("a"), def)
	until(t, "all committed", func() bool { return w.committed(def, in.Name) == 13 })
	r.stop()

	want := map[string]string{
		"acme/ann": `["emit:one","emit:two"]`, "acme/bob": `["` + long + `","small"]`, "acme/cid": `["after"]`, "acme/dan": `["fine"]`,
	}
	rows := w.rows(def)
	for key, row := range want {
		if string(rows[key]) != row {
			t.Errorf("row of %s: %.60s (%d bytes), want %.60s", key, rows[key], len(rows[key]), row)
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}
	var sent []string
	for _, rec := range w.read(out.Name) {
		sent = append(sent, string(rec.Value))
	}
	if got := strings.Join(sent, " "); got != `"one" "two"` {
		t.Errorf("outputs: %.100s", got)
	}
	w.checkLetters(def, in)
	if s := r.Status(); s.DeadLetters != 7 {
		t.Errorf("%d dead letters counted", s.DeadLetters)
	}
}

func (w *world) checkLetters(def *processors.Def, in topics.Topic[string]) {
	w.t.Helper()
	causes := map[string]int{}
	for _, d := range w.letters(def) {
		if d.Topic != in.Name || d.TimeMs == 0 {
			w.t.Errorf("a letter from %s/%d/%d at %d", d.Topic, d.Partition, d.Offset, d.TimeMs)
		}
		switch {
		case strings.Contains(d.Error, "no such thing") && strings.Contains(d.Stack, "growing") && string(d.Value) == `"boom"`:
			causes["panic"]++
		case strings.Contains(d.Error, "the row would have") && string(d.Key) == "acme/bob":
			causes["row"]++
		case strings.Contains(d.Error, "emits 1100") && string(d.Key) == "acme/cid" && len(d.Value) > 550_000:
			causes["output"]++
		case strings.Contains(d.Error, "undecodable") && string(d.Value) == "no JSON":
			causes["undecodable"]++
		case strings.Contains(d.Error, "no value") && string(d.Key) == "acme/dan":
			causes["no value"]++
		case strings.Contains(d.Error, "no key"):
			causes["no key"]++
		default:
			w.t.Errorf("a letter for %s: %.300s", d.Key, d.Error)
		}
	}
	for cause, n := range map[string]int{"panic": 1, "row": 2, "output": 1, "undecodable": 1, "no value": 1, "no key": 1} {
		if causes[cause] != n {
			w.t.Errorf("%d letters for %s, want %d", causes[cause], cause, n)
		}
	}
}

func TestManyPanicsCostFewAborts(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, _ := w.growing()
	for range 300 {
		w.sendText(in, "acme/ann", "boom", "a")
	}
	cfg := w.config("a")
	cfg.DeadLetters = brake.Limit{}
	r := w.run(cfg, def)
	until(t, "all committed", func() bool { return w.committed(def, in.Name) == 600 })
	r.stop()
	if s := r.Status(); s.Aborts > 2 || s.DeadLetters != 300 {
		t.Errorf("%d aborts, %d dead letters", s.Aborts, s.DeadLetters)
	}
	if row := w.rows(def)["acme/ann"]; bytes.Count(row, []byte(`"a"`)) != 300 {
		t.Errorf("row: %.100s", row)
	}
}

// A failed produce fails the transaction: nothing is lost and nothing comes twice.
func TestFailedProduceAbortsAndIsRepeated(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(table, out string) kfake.Fault
	}{
		{"row", func(table, _ string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table, Err: kerr.UnknownServerError, Count: 3}
		}},
		{"output", func(_, out string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: out, Err: kerr.UnknownServerError, Count: 3}
		}},
		{"generation", func(string, string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: 2}
		}},
		{"end", func(string, string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.UnknownServerError, Count: 2}
		}},
		{"epoch", func(table, _ string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table, Err: kerr.InvalidProducerEpoch, Count: 1}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			where := fake(t)
			w := newWorld(t, where)
			def, in, out := w.counting()
			cfg := w.config("a")
			cfg.Dir = t.TempDir()
			r := w.run(cfg, def)
			r.untilReady()
			w.sendNumbers(in, 0, 500, 20)
			until(t, "first part committed", func() bool { return w.committed(def, in.Name) == 500 })
			h := where.fake.Fault(c.fault(r.shared.Topic, out.Name))
			w.sendNumbers(in, 500, 1000, 20)
			until(t, "all committed", func() bool { return w.committed(def, in.Name) == 1000 })
			if h.Hits() == 0 {
				t.Error("the fault was never met")
			}
			w.sendNumbers(in, 1000, 1500, 20)
			until(t, "all committed", func() bool { return w.committed(def, in.Name) == 1500 })
			r.stop()
			w.checkCounts(def, out, 1500, 20)
		})
	}
}

func TestRecordThatTheBrokersRefuseIsAFatalErrorWithItsName(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.growing()
	small := "1000"
	if _, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}}, out.Name); err != nil {
		t.Fatal(err)
	}
	r := w.run(w.config("a"), def)
	w.sendText(in, "acme/ann", "emit:"+random(1500))
	err := r.wait()
	if err == nil || !strings.Contains(err.Error(), out.Name) || !strings.Contains(err.Error(), "acme/ann") || !strings.Contains(err.Error(), "MESSAGE_TOO_LARGE") {
		t.Fatalf("Run: %v", err)
	}
	if n := w.committed(def, in.Name); n > 0 {
		t.Errorf("%d committed", n)
	}
}

// random does not compress well.
func random(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'A' + byte(x>>24)%26
	}
	return string(b)
}

func TestUndeclaredOutputIsADeadLetter(t *testing.T) {
	w := newWorld(t, brokers(t))
	in, other := numbers(w.name("in")), numbers(w.name("other"))
	w.ensure(in.Spec, other.Spec)
	def := processors.Define(processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{},
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) { processors.Emit(t, other, t.Key, v) })},
	})
	r := w.run(w.config("a"), def)
	w.send(numberRecord(in.Name, "acme/ann", 1))
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 1 })
	r.stop()
	if l := w.letters(def); len(l) != 1 || !strings.Contains(l[0].Error, "without declaring") {
		t.Errorf("letters: %v", l)
	}
	if n := len(w.read(other.Name)); n != 0 {
		t.Errorf("%d records in a topic that was not declared", n)
	}
}
