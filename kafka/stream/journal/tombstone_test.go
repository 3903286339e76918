package journal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// What is deleted goes out as a tombstone; one that comes in by a compacted input is nobody's event and no dead
// letter, live and in the replay alike. By another input it is rejected.
func TestTombstonesGoOutAndArePassedOver(t *testing.T) {
	w := newWorld(t, 23)
	state := topics.Of(topics.Spec{Name: "state", Compact: true}, schemas.Codec[order](schemas.JSON[order]{}))
	kept := topics.Of(topics.Spec{Name: "kept", Compact: true}, schemas.Codec[uint64](schemas.JSON[uint64]{}))
	if err := kafka.Ensure(t.Context(), w.cfg, state.Spec, kept.Spec); err != nil {
		t.Fatal(err)
	}
	step := func(t *processors.Turn[memory], o order) {
		if t.State.N++; o.Do == "delete" {
			t.Forget()
			processors.Delete(t, kept, t.Key)
			return
		}
		processors.Emit(t, kept, t.Key, o.N)
	}
	def := processors.Define(processors.Processor[memory]{
		Name: "soup", Journal: true, Outputs: []*topics.Spec{kept.Spec},
		Inputs: []processors.Input[memory]{processors.On(w.left, step), processors.On(state, step)},
	})
	const users = 10
	send := func(topic, value string) {
		var recs []*kgo.Record
		for i := range users {
			r := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "acme/u%d", i), Timestamp: time.UnixMilli(w.ms)}
			if value != "" {
				r.Value = []byte(value)
			}
			recs = append(recs, r)
		}
		w.produce(recs...)
		w.sent += users
	}
	stop := w.run(def, "i0", 5*time.Millisecond)
	send(w.left.Name, `{"Do":"keep","N":1}`)
	send(state.Name, "")
	send(state.Name, `{"Do":"keep","N":2}`)
	w.untilCommitted(w.sent)
	send(state.Name, "")
	send(w.left.Name, "")
	send(w.left.Name, `{"Do":"delete"}`)
	w.untilCommitted(w.sent)
	stop()
	letters := map[string]int{}
	err := kafka.ReadAll(t.Context(), w.cfg, topics.DeadLetters.Spec, func(e kafka.Entry) error {
		l, err := topics.DeadLetters.Codec.Decode(e.Value)
		letters[l.GetTopic()]++
		return err
	})
	if err != nil || letters[state.Name] != 0 || letters[w.left.Name] != users {
		t.Errorf("dead letters are %v, %v", letters, err)
	}
	last := map[string]bool{}
	err = kafka.ReadAll(t.Context(), w.cfg, kept.Spec, func(e kafka.Entry) error {
		last[e.Key] = e.Value == nil
		return nil
	})
	for i := range users {
		if key := fmt.Sprint("acme/u", i); err != nil || !last[key] {
			t.Errorf("the last record of %s is no tombstone: %v", key, err)
		}
	}
	if r := w.replay(def, journal.All); r.Differences != 0 || r.Records != w.sent || r.Rejected != users || r.Outputs == 0 {
		t.Errorf("the replay: %+v, first %v", r, r.First)
	}
}
