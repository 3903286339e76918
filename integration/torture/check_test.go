package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
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
		// acme/i144 of seed 3777929953163663157, reported as lost at 793759: the second late pulse leaves the
		// deadline at 793059, so that it acted after it, not between the two.
		{
			"the brokers stood still",
			[][2]int64{{791479, 791480}, {791659, 791660}, {792179, 807418}, {792329, 807418}, {793769, 807418}},
			map[int64]int{792359: 1, 793059: 1, 794469: 1},
			0, 0, 3, 1,
		},
		{"two late ones in a row", [][2]int64{{1000, 1001}, {1200, 9000}, {1300, 9000}}, map[int64]int{1700: 1, 2400: 1}, 0, 0, 2, 1},
		{"the same, and rash twice", [][2]int64{{1000, 1001}, {1200, 9000}, {1300, 9000}}, map[int64]int{1700: 1, 2400: 1, 3100: 1}, 0, 0, 3, 2},
		{"the same, and the last one lost", [][2]int64{{1000, 1001}, {1200, 9000}, {1300, 9000}}, map[int64]int{1700: 1}, 1, 0, 2, 1},
		{"the same, and the last one twice", [][2]int64{{1000, 1001}, {1200, 9000}, {1300, 9000}}, map[int64]int{1700: 1, 2400: 2}, 0, 1, 2, 1},
		{"late, but within the grace", [][2]int64{{1000, 1001}, {1500, 2699}}, map[int64]int{1700: 1, 2200: 1}, 0, 1, 1, 0},
	} {
		v, row := idle(c.pulses, c.acted)
		if v.lost != c.lost || v.doubled != c.doubled || row.Woke != c.woke || v.late != c.late {
			t.Errorf("%s: %d lost, %d doubled, %d late, woke %d", c.what, v.lost, v.doubled, v.late, row.Woke)
		}
	}
}

// lived is what a user's pulses lead to when everything is right: pulses with time and acknowledgement,
// and the deadlines that acted. Where a deadline may overtake a late pulse, a coin says whether it does.
func lived(rng *rand.Rand) (pulses [][2]int64, acted map[int64]int) {
	acted = map[int64]int{}
	row, ms, back := int64(0), int64(1_000_000), int64(0)
	for range 2 + rng.IntN(60) {
		ms += 50 + rng.Int64N(1500)
		if rng.IntN(10) == 0 { // the brokers are away for a while
			back = ms + rng.Int64N(12_000)
		}
		ack := max(ms+rng.Int64N(5), back)
		if d := row + 700; row > 0 && (ms >= d || ack >= d+1000 && rng.IntN(2) == 0) {
			acted[d]++ // once: the next deadline comes with the next pulse
			row = d
		}
		row = max(row, ms)
		pulses = append(pulses, [2]int64{ms, ack})
	}
	acted[row+700]++
	return pulses, acted
}

// Whatever overtook what, a right run is right, and an action too many is found.
func TestRightRunsAreRightHoweverLate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	late := 0
	for i := range 5_000 {
		pulses, acted := lived(rng)
		n := uint64(len(acted))
		extra := pulses[0][0] - 1
		again := maps.Clone(acted)
		again[extra]++
		if v, row := idle(pulses, acted); !v.right() || row.Woke != n {
			t.Fatalf("run %d: %+v, woke %d, want %d: pulses %v", i, v, row.Woke, n, pulses)
		} else {
			late += v.late
		}
		if v, _ := idle(pulses, again); v.doubled != 1 || v.lost != 0 {
			t.Fatalf("run %d with one more: %+v", i, v)
		}
	}
	if late < 1_000 {
		t.Errorf("only %d deadlines overtook a pulse", late)
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
