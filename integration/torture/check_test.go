package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// The decoder is the checker's own; here it meets what the core writes.
func TestDecoderReadsWhatTheCoreWrites(t *testing.T) {
	def := idling()
	c := processors.Call{Key: "acme/i1", NowMS: 1_000, Value: []byte(`{"id":300}`)}
	if err := def.Step(0, &c); err != nil {
		t.Fatal(err)
	}
	b, err := def.AppendRow(nil, c.Row)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := readRow(b); err != nil || r != (found{N: 1, Sum: 300, Last: 300, wakeMS: 1_700}) {
		t.Errorf("%+v, %v", r, err)
	}
	c.NowMS, c.Value = 5_000, []byte(`{"id":301}`)
	if err := def.Step(0, &c); err != nil {
		t.Fatal(err)
	}
	if a, err := readAction(c.Out[0].Value); err != nil || a != (acted{"acme/i1", "idle", 1_700}) {
		t.Errorf("%+v, %v", a, err)
	}
	l, err := topics.DeadLetters.Codec.Append(nil, &schemas.DeadLetter{Topic: "t", Partition: 3, Offset: 1 << 40, Key: []byte("k"), By: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := readLetter(l); err != nil || p != (place{"t", 3, 1 << 40}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestBrokenProtobufIsAnError(t *testing.T) {
	for _, b := range []string{"\x08", "\x1a\x05ab", "\xff", "\x0d\x01\x02\x03\x04", "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if _, err := fields([]byte(b)); !errors.Is(err, errWire) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if f, err := fields(nil); err != nil || len(f) != 0 {
		t.Errorf("nothing: %v, %v", f, err)
	}
	if _, err := readRow(nil); err == nil {
		t.Error("a row of nothing was taken")
	}
}

// idle checks one user's pulses, given as time and acknowledgement, against actions by deadline.
func idle(pulses [][2]int64, acted map[int64]int) (verdict, found) {
	t := &torture{in: &input{}}
	var seen []sighting
	for i, p := range pulses {
		t.in.pulses.at = append(t.in.pulses.at, p[1])
		seen = append(seen, sighting{uint64(i + 1), p[0]})
	}
	var v verdict
	rows := t.expectIdle(&v, &few{out: io.Discard}, map[string][]sighting{"a/b": seen}, map[string]map[int64]int{"a/b": acted})
	return v, rows["a/b"]
}

func TestEachDeadlineActsOnce(t *testing.T) {
	quick := [][2]int64{{1000, 1001}, {1500, 1501}, {2200, 2201}} // 500 ms, then exactly idleAfter
	for _, c := range []struct {
		what          string
		pulses        [][2]int64
		acted         map[int64]int
		lost, doubled int
		woke          uint64
		late          int
	}{
		{"right", quick, map[int64]int{2200: 1, 2900: 1}, 0, 0, 2, 0},
		{"the last one lost", quick, map[int64]int{2200: 1}, 1, 0, 2, 0},
		{"twice", quick, map[int64]int{2200: 2, 2900: 1}, 0, 1, 2, 0},
		{"the cancelling pulse was there", quick, map[int64]int{1700: 1, 2200: 1, 2900: 1}, 0, 1, 2, 0},
		{"the cancelling pulse was late", [][2]int64{{1000, 1001}, {1500, 9000}, {2200, 9000}}, map[int64]int{1700: 1, 2400: 1, 3100: 1}, 0, 0, 3, 2},
		{"late, and nobody was rash", [][2]int64{{1000, 1001}, {1500, 9000}}, map[int64]int{2200: 1}, 0, 0, 1, 0},
		{"at no deadline", quick, map[int64]int{2200: 1, 2900: 1, 7: 1}, 0, 1, 2, 0},
	} {
		v, row := idle(c.pulses, c.acted)
		if v.lost != c.lost || v.doubled != c.doubled || row.Woke != c.woke || v.late != c.late {
			t.Errorf("%s: %d lost, %d doubled, %d late, woke %d", c.what, v.lost, v.doubled, v.late, row.Woke)
		}
	}
}

func TestActionsOfStrangersAreFound(t *testing.T) {
	var v verdict
	tt := &torture{in: &input{}}
	tt.expectIdle(&v, &few{out: io.Discard}, nil, map[string]map[int64]int{"a/b": {1: 1}})
	if v.doubled != 1 {
		t.Errorf("%v", v)
	}
}

func TestOnlyTheFirstDifferencesAreTold(t *testing.T) {
	var b strings.Builder
	say := &few{out: &b}
	for i := range 100 {
		say.of("%d", i)
	}
	if n := strings.Count(b.String(), "\n"); n != 20 || say.n != 100 {
		t.Errorf("%d lines of %d", n, say.n)
	}
}

func TestVerdictCountsWhatMustBeThereOnce(t *testing.T) {
	v := verdict{kills: 3}
	for _, n := range []int{0, 1, 2, 5} {
		v.once(n)
	}
	if got := fmt.Sprint(v); got != "torture: 3 kills, 0 wrong rows, 1 lost, 5 doubled" || v.right() {
		t.Error(got)
	}
}
