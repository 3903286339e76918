package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
	"github.com/dwellhq/dwell/worker"
)

// yard is a fake cluster with dwell's topics.
type yard struct {
	*testing.T
	cfg kafka.Config
	cl  *kgo.Client
	ctx context.Context
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{T: t, cfg: livetest.Kafka(t, 2)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	y.ctx = ctx
	var err error
	if y.cl, err = y.cfg.NewClient("test", kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(y.cl.Close)
	return y
}

func (y *yard) send(topic string, partition int32, key string, value []byte) {
	y.Helper()
	if err := y.cl.ProduceSync(y.ctx, &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: value}).FirstErr(); err != nil {
		y.Fatal(err)
	}
}

func (y *yard) bury(letters ...*schemas.DeadLetter) {
	y.Helper()
	for _, d := range letters {
		b, err := topics.DeadLetters.Codec.Append(nil, d)
		if err != nil {
			y.Fatal(err)
		}
		y.send(topics.DeadLetters.Name, 0, "", b)
	}
}

// work runs a worker until the test ends.
func (y *yard) work() {
	y.Helper()
	startWorker(y.T, y.cfg, prometheus.NewRegistry())
}

// printed is what a command prints.
func (y *yard) printed(f func(w io.Writer) error) string {
	y.Helper()
	var b strings.Builder
	if err := f(&b); err != nil {
		y.Fatal(err)
	}
	return b.String()
}

func (y *yard) ls(f letterFilter) string {
	y.Helper()
	return y.printed(func(w io.Writer) error { return listLetters(y.ctx, w, y.cfg, f.picks(time.Now())) })
}

func (y *yard) show(offset int64) string {
	y.Helper()
	return y.printed(func(w io.Writer) error { return showLetter(y.ctx, w, y.cfg, offset) })
}

// until waits for a condition.
func (y *yard) until(what string, ok func() bool) {
	y.Helper()
	for !ok() {
		select {
		case <-y.ctx.Done():
			y.Fatalf("waited %v for: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q lacks %q", text, p)
		}
	}
}

func TestPoisonEventIsListedShownAndReplayed(t *testing.T) {
	y := newYard(t)
	// The worker runs on tables that dwell topics made, too.
	y.printed(func(w io.Writer) error {
		return planTopics(y.ctx, w, y.cfg, worker.Topics(builtinProcessors()...), true)
	})
	y.send(topics.Events.Name, 1, "acme/ann", []byte{0xff, 0xff, 0xff, 0x01})
	y.work()
	y.until("a dead letter", func() bool { return y.ls(letterFilter{}) != "" })
	line := y.ls(letterFilter{})
	if cols := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(cols) != 5 || cols[0] != "0" || cols[2] != "dwell.events.v1/1/0" || cols[3] != "engage" || cols[4] == "" {
		t.Errorf("ls: %q", line)
	}
	has(t, y.show(0), "dwell.events.v1/1/0", "engage", "undecodable", "acme/ann", "value, 4 bytes in hex", "ff ff ff 01", "dwell dlq replay 0")

	has(t, y.printed(func(w io.Writer) error { return replayOffsets(y.ctx, w, y.cfg, false, []int64{0}) }), "0\tdwell.events.v1/1/0\tto dwell.events.v1\n", "1 sent, 0 cannot")
	// It is as bad as before, so the worker rejects it again, under its new coordinates.
	y.until("the second letter", func() bool { return strings.Contains(y.ls(letterFilter{}), "\tdwell.events.v1/1/1\t") })
	// Both letters hold the same record: it is sent once, not twice, so letters do not multiply.
	out := y.printed(func(w io.Writer) error {
		_, err := replayLetters(y.ctx, w, y.cfg, true, letterFilter{}.picks(time.Now()))
		return err
	})
	has(t, out, "1 would be sent, 0 cannot be replayed, 1 equal to one before")
}

func TestReplayedEventCountsOnce(t *testing.T) {
	y := newYard(t)
	now := time.Now().UnixMilli()
	event, err := topics.Events.Codec.Append(nil, &schemas.Event{Id: "e1", Tenant: "acme", UserId: "ann", Type: "track", Name: "bet", TimeMs: now, ReceivedMs: now})
	if err != nil {
		t.Fatal(err)
	}
	// As if one reader of the topic had rejected what the Decider takes.
	y.bury(&schemas.DeadLetter{Topic: topics.Events.Name, Partition: 1, Offset: 0, Key: []byte("acme/ann"), Value: event, By: "another"})
	y.send(topics.Events.Name, 1, "acme/ann", event)
	y.work()
	y.printed(func(w io.Writer) error { return replayOffsets(y.ctx, w, y.cfg, false, []int64{0}) })
	duplicates := 0
	y.until("the verdict", func() bool {
		if err := kafka.ReadAll(y.ctx, y.cfg, topics.Verdicts.Spec, func(e kafka.Entry) error {
			v, err := topics.Verdicts.Codec.Decode(e.Value)
			if err == nil && v.Verdict == engage.Duplicate && v.EventId == "e1" {
				duplicates++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return duplicates > 0
	})
	facts := 0
	if err := kafka.ReadAll(y.ctx, y.cfg, topics.Facts.Spec, func(e kafka.Entry) error {
		block, err := schemas.FactBlocks{}.Unpack(e.Value)
		if err == nil {
			facts += block.Len()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if facts != 1 || y.ls(letterFilter{By: "engage"}) != "" {
		t.Errorf("%d facts; letters: %s", facts, y.ls(letterFilter{}))
	}
}

func TestFiltersPickLetters(t *testing.T) {
	y := newYard(t)
	y.bury(
		&schemas.DeadLetter{Topic: "a", By: "engage", Error: "first\nsecond"},
		&schemas.DeadLetter{Topic: "b", By: "engage", Error: "tab\tescape\x1b[2J"},
		&schemas.DeadLetter{Topic: "file:access.log", Offset: 12, By: "replay", Error: "no line"},
	)
	for _, c := range []struct {
		filter letterFilter
		want   []string // the last two columns
	}{
		{letterFilter{}, []string{"engage\tfirst", "engage\ttab\uFFFDescape\uFFFD[2J", "replay\tno line"}},
		{letterFilter{By: "engage", Topic: "b"}, []string{"engage\ttab\uFFFDescape\uFFFD[2J"}},
		{letterFilter{Topic: "file:access.log"}, []string{"file:access.log line 12\treplay\tno line"}},
		{letterFilter{By: "nobody"}, nil},
		{letterFilter{Since: time.Hour}, []string{"first", "tab", "no line"}},
	} {
		out := y.ls(c.filter)
		if strings.Count(out, "\n") != len(c.want) {
			t.Errorf("%+v: %s", c.filter, out)
		}
		has(t, out, c.want...)
	}
	later := letterFilter{Since: time.Minute}.picks(time.Now().Add(time.Hour))
	if later(kafka.Letter{Time: time.Now(), Record: &schemas.DeadLetter{}}) {
		t.Error("an old letter was picked")
	}
}

func TestShowPrintsTextAsTextAndTheRestInHex(t *testing.T) {
	y := newYard(t)
	y.bury(
		&schemas.DeadLetter{Topic: "shop.orders", Partition: 3, Offset: 4, Key: []byte("acme/zoë"), Value: []byte("{\n  \"a\": \"ü\"\n}"), By: "cart", Error: "panic: no such thing", Stack: "goroutine 1 [running]:\nmain.main()", TimeMs: 1_700_000_000_000},
		&schemas.DeadLetter{Topic: "file:x", Offset: 2, Value: []byte("\x1b]0;owned\x07"), By: "replay"},
		&schemas.DeadLetter{Topic: "shop.orders"},
	)
	has(t, y.show(0), "record    shop.orders/3/4\n", "2023-11-14T22:13:20Z", "key, 9 bytes:\nacme/zoë\n", "value, 15 bytes:\n{\n  \"a\": \"ü\"\n}\n", "stack, ", "main.main()", "panic: no such thing", "written 20")
	escape := y.show(1)
	has(t, escape, "file:x line 2", "value, 10 bytes in hex:\n00000000  1b 5d 30", "replay    no: it is line 2 of a file", "error: none", "key: none")
	if strings.ContainsAny(escape, "\x1b\x07") {
		t.Errorf("show lets through what a terminal obeys: %q", escape)
	}
	has(t, y.show(2), "value: none", "replay    no: the letter holds no value")
	if err := showLetter(y.ctx, io.Discard, y.cfg, 3); err == nil || !strings.Contains(err.Error(), "no dead letter has offset 3") {
		t.Errorf("show 3: %v", err)
	}
}

func TestReplayOfNamedOffsetsFailsForWhatItCannotDo(t *testing.T) {
	y := newYard(t)
	y.bury(
		&schemas.DeadLetter{Topic: "file:x", Offset: 2, Value: []byte("line"), By: "replay"},
		&schemas.DeadLetter{Topic: topics.Events.Name, Offset: 2, Value: []byte("x"), By: "engage"},
	)
	for _, c := range []struct {
		offsets []int64
		want    string
	}{
		{[]int64{1}, "<nil>"},
		{[]int64{1, 1}, "<nil>"},
		{[]int64{0, 1}, "1 of 2 letters cannot be replayed"},
		{[]int64{1, 7, 5}, "no dead letter has offset [5 7]"},
	} {
		if got := fmt.Sprint(replayOffsets(y.ctx, io.Discard, y.cfg, true, c.offsets)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%v: %s", c.offsets, got)
		}
	}
}
