package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// bury writes letters as they are.
func (w *world) bury(letters ...*schemas.DeadLetter) {
	w.Helper()
	for _, d := range letters {
		b, err := topics.DeadLetters.Codec.Append(nil, d)
		if err != nil {
			w.Fatal(err)
		}
		w.send(&kgo.Record{Topic: topics.DeadLetters.Name, Value: b})
	}
}

func (w *world) send(r *kgo.Record) {
	w.Helper()
	if err := w.cl.ProduceSync(w.ctx, r).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// read is every record of a topic, without the code under test.
func (w *world) read(topic string) []*kgo.Record {
	w.Helper()
	ends, err := w.adm.ListEndOffsets(w.ctx, topic)
	if err != nil {
		w.Fatal(err)
	}
	left := int64(0)
	for _, o := range ends[topic] {
		left += o.Offset
	}
	if left == 0 {
		return nil
	}
	cl, err := w.cfg.NewClient("reader", kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		w.Fatal(err)
	}
	defer cl.Close()
	var all []*kgo.Record
	for int64(len(all)) < left {
		fs := cl.PollFetches(w.ctx)
		if err := fs.Err0(); err != nil {
			w.Fatal(err)
		}
		all = append(all, fs.Records()...)
	}
	return all
}

func newCemetery(t *testing.T, opts ...kfake.Opt) *world {
	t.Helper()
	w := newWorld(t, opts...)
	if err := Ensure(w.ctx, w.cfg, topics.Builtin()...); err != nil {
		t.Fatal(err)
	}
	return w
}

func every(Letter) bool { return true }

func (w *world) replay(dry bool, pick func(Letter) bool) (Replayed, string) {
	w.Helper()
	var said []string
	n, err := Replay(w.ctx, w.cfg, dry, pick, func(l Letter, why error) { said = append(said, fmt.Sprintf("%d: %v", l.At.Offset, why)) })
	if err != nil {
		w.Fatal(err)
	}
	return n, strings.Join(said, "\n")
}

func TestReplayEndsInTheOriginalTopicAsItWas(t *testing.T) {
	w := newCemetery(t)
	binary := []byte{0, 0xff, 0xfe, '{', '\n', 0x80}
	big := bytes.Repeat([]byte("x"), 900_000)
	w.bury(
		&schemas.DeadLetter{Topic: topics.Events.Name, Partition: 2, Offset: 7, Key: []byte("acme/ann"), Value: binary, By: "engage", Error: "bad"},
		&schemas.DeadLetter{Topic: topics.Frames.Name, Partition: 0, Offset: 1, Key: []byte("acme/bob"), Value: big, By: "exposure", Error: "bad"},
		&schemas.DeadLetter{Topic: topics.Events.Name, Partition: 3, Offset: 9, Value: []byte("no key"), By: "engage", Error: "no key"},
	)
	want := Replayed{Sent: 3}
	if n, said := w.replay(true, every); n != want || len(w.read(topics.Events.Name)) != 0 {
		t.Errorf("dry run: %+v, sent %d\n%s", n, len(w.read(topics.Events.Name)), said)
	}
	before := time.Now().Add(-time.Second)
	if n, said := w.replay(false, every); n != want || said != "0: <nil>\n1: <nil>\n2: <nil>" {
		t.Errorf("%+v\n%s", n, said)
	}
	events := map[int32]*kgo.Record{}
	for _, r := range w.read(topics.Events.Name) {
		events[r.Partition] = r
	}
	frames := w.read(topics.Frames.Name)
	if len(events) != 2 || len(frames) != 1 {
		t.Fatalf("%d events, %d frames", len(events), len(frames))
	}
	for _, c := range []struct {
		got        *kgo.Record
		partition  int32
		key, where string
		value      []byte
	}{
		{events[2], 2, "acme/ann", "dwell.events.v1/2/7", binary},
		{events[3], 3, "", "dwell.events.v1/3/9", []byte("no key")},
		{frames[0], 0, "acme/bob", "dwell.frames.v1/0/1", big},
	} {
		r := c.got
		if r == nil || r.Partition != c.partition || string(r.Key) != c.key || (r.Key == nil) != (c.key == "") || !bytes.Equal(r.Value, c.value) || r.Timestamp.Before(before) {
			t.Errorf("%s: %.200v", c.where, r)
			continue
		}
		if len(r.Headers) != 1 || r.Headers[0].Key != ReplayHeader || string(r.Headers[0].Value) != c.where {
			t.Errorf("%s: headers %s", c.where, r.Headers)
		}
	}
	if n := len(w.read(topics.DeadLetters.Name)); n != 3 {
		t.Errorf("%d letters afterwards", n)
	}
}

func TestWhatMustNotComeInAgainIsNamed(t *testing.T) {
	w := newCemetery(t)
	w.make("shop.orders", 1, -1, nil)
	var want []string
	for _, c := range []struct {
		d    *schemas.DeadLetter
		want string // empty: sent
	}{
		{&schemas.DeadLetter{Topic: "file:access.log", Offset: 12, Value: []byte("line")}, "line 12 of a file"},
		{&schemas.DeadLetter{Topic: topics.Facts.Name, Value: []byte("x")}, "would count twice"},
		{&schemas.DeadLetter{Topic: topics.Verdicts.Name, Value: []byte("x")}, "would count twice"},
		{&schemas.DeadLetter{Topic: topics.Declarations.Name, Key: []byte("k"), Value: []byte("x")}, "written by dwell itself"},
		{&schemas.DeadLetter{Topic: topics.DeadLetters.Name, Value: []byte("x")}, "written by dwell itself"},
		{&schemas.DeadLetter{Topic: "dwell.engage-table", Value: []byte("x")}, "written by dwell itself"},
		{&schemas.DeadLetter{Topic: topics.Events.Name}, "holds no value"},
		{&schemas.DeadLetter{Topic: topics.Events.Name, Partition: 4, Value: []byte("x")}, "4 partitions now"},
		{&schemas.DeadLetter{Topic: topics.Events.Name, Partition: -1, Value: []byte("x")}, "partition -1"},
		{&schemas.DeadLetter{Topic: "dwell.engage-table", Partition: 1, Offset: -1, Key: []byte("acme/ann"), WakeMs: 1500}, "a deadline of a row"},
		{&schemas.DeadLetter{Topic: "gone", Value: []byte("x")}, "does not exist"},
		{&schemas.DeadLetter{Value: []byte("x")}, "does not say"},
		{&schemas.DeadLetter{Topic: "shop.orders", Offset: 1, Value: []byte("x")}, ""},
		{&schemas.DeadLetter{Topic: "shop.orders", Offset: 2, Value: []byte("x"), By: "another"}, ErrSame.Error()},
		{&schemas.DeadLetter{Topic: "shop.orders", Offset: 3, Key: []byte("x")}, "holds no value"},
		{&schemas.DeadLetter{Topic: "shop.orders", Offset: 3, Value: []byte("y")}, ""},
	} {
		w.bury(c.d)
		want = append(want, c.want)
	}
	w.send(&kgo.Record{Topic: topics.DeadLetters.Name, Value: []byte{0xff, 0xff}})
	want = append(want, "does not say")

	n, said := w.replay(false, every)
	if n != (Replayed{Sent: 2, Refused: 14, Same: 1}) {
		t.Errorf("%+v", n)
	}
	for i, line := range strings.Split(said, "\n") {
		if want[i] == "" && strings.HasSuffix(line, "<nil>") || want[i] != "" && strings.Contains(line, want[i]) {
			continue
		}
		t.Errorf("%s, want %q", line, want[i])
	}
	if got := w.read("shop.orders"); len(got) != 2 || len(w.read(topics.Facts.Name))+len(w.read(topics.Events.Name)) != 0 {
		t.Errorf("orders: %v", got)
	}
	if _, err := w.adm.ListEndOffsets(w.ctx, "gone"); err == nil {
		if list, _ := w.adm.ListTopics(w.ctx, "gone"); list.Has("gone") && list["gone"].Err == nil {
			t.Error("looking for a topic made it")
		}
	}
}

func TestOnlyPickedLettersAreReplayed(t *testing.T) {
	w := newCemetery(t)
	for i := range 5 {
		w.bury(&schemas.DeadLetter{Topic: topics.Events.Name, Offset: int64(i), Value: []byte{byte(i)}})
	}
	n, said := w.replay(false, func(l Letter) bool { return l.At.Offset == 3 })
	if got := w.read(topics.Events.Name); n.Sent != 1 || said != "3: <nil>" || len(got) != 1 || got[0].Value[0] != 3 {
		t.Errorf("%+v %q %v", n, said, got)
	}
}

func TestFailedReplayIsAnErrorAndIsNotCounted(t *testing.T) {
	w := newCemetery(t)
	w.bury(
		&schemas.DeadLetter{Topic: topics.Events.Name, Offset: 1, Value: []byte("x")},
		&schemas.DeadLetter{Topic: topics.Frames.Name, Offset: 1, Value: []byte("x")},
	)
	w.cluster.ControlKey(int16(kmsg.Produce), func(k kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		req := k.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	n, err := Replay(w.ctx, w.cfg, false, every, nil)
	if n.Sent != 0 || !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "2 records failed") {
		t.Errorf("%+v %v", n, err)
	}
}

func TestNoDeadLettersAndNoTopic(t *testing.T) {
	w := newCemetery(t)
	if n, said := w.replay(false, every); n != (Replayed{}) || said != "" {
		t.Errorf("%+v %s", n, said)
	}
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := DeadLetters(ended, w.cfg, func(Letter) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	bare := newWorld(t)
	if err := DeadLetters(bare.ctx, bare.cfg, func(Letter) error { return nil }); err == nil || !strings.Contains(err.Error(), topics.DeadLetters.Name) {
		t.Errorf("without the topic: %v", err)
	}
}

// What was rejected has a name of its own, which is the key of its letter.
func TestWhereNamesRecordsLinesAndWakes(t *testing.T) {
	for want, d := range map[string]*schemas.DeadLetter{
		"shop.orders/3/17":        {Topic: "shop.orders", Partition: 3, Offset: 17, Key: []byte("acme/ann")},
		"file:access.log line 12": {Topic: "file:access.log", Offset: 12},
		"unknown":                 {Value: []byte{0xff}},
		"dwell.cart-table/1 wake at 2026-11-22T12:00:00.007Z of acme/ann": {
			Topic: "dwell.cart-table", Partition: 1, Offset: -1, Key: []byte("acme/ann"), WakeMs: time.Date(2026, 11, 22, 12, 0, 0, 7e6, time.UTC).UnixMilli(),
		},
	} {
		if got := (Letter{Record: d}).Where(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
