package dispatch

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The bytes of a commit live in the broker through upgrades: they decode for ever.
func TestGoldenMetadataDecodesForEver(t *testing.T) {
	const golden = "u1;LAIDAQ" // horizon 44, then 2, 3, 1
	if got := encodeMemory(100, 144, slices.Values([]int64{102, 105, 106})); got != golden {
		t.Errorf("encoded %s", got)
	}
	m, err := decodeMemory(100, golden)
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[int64]bool{99: false, 100: true, 101: true, 102: false, 105: false, 106: false, 107: true, 143: true, 144: false} {
		if m.finished(offset) != want {
			t.Errorf("finished(%d) = %v", offset, !want)
		}
	}
}

func TestMetadataRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64Range(0, 1<<50).Draw(t, "at")
		n := rapid.IntRange(0, 4000).Draw(t, "open")
		gap := rapid.SampledFrom([]int64{1, 2, 300, 1 << 20}).Draw(t, "gap")
		var open []int64
		last := at - 1
		for range n {
			last += 1 + rapid.Int64Range(0, gap).Draw(t, "distance")
			open = append(open, last)
		}
		next := last + 1 + rapid.Int64Range(0, 1000).Draw(t, "behind")
		text := encodeMemory(at, next, slices.Values(open))
		if len(text) > 4096 {
			t.Fatalf("%d bytes", len(text))
		}
		m, err := decodeMemory(at, text)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Sorted(maps.Keys(m.open))
		if !slices.Equal(got, open[:len(got)]) {
			t.Fatalf("open = %v", got)
		}
		if len(got) == len(open) && m.horizon != next || len(got) < len(open) && m.horizon != open[len(got)] {
			t.Fatalf("horizon = %d after %d of %d, next is %d", m.horizon, len(got), len(open), next)
		}
	})
}

func TestForeignMetadataIsRefused(t *testing.T) {
	for _, meta := range []string{"v1;pending=[1-2]", "u1;!", "u1;gA", "u2;LAIDAQ", "u1;AQU", "u1;____________AQ"} {
		if m, err := decodeMemory(5, meta); !errors.Is(err, errMemory) || m.finished(5) {
			t.Errorf("%s: %v %v", meta, m, err)
		}
	}
	if m, err := decodeMemory(5, ""); err != nil || m.finished(5) {
		t.Errorf("none: %v %v", m, err)
	}
}

func TestTopicMadeAnewForgetsTheOldOffsets(t *testing.T) {
	b := newBench(wide())
	b.assign(0, memory{from: 10, horizon: 20})
	if !b.known(0, 10) || b.known(0, 20) {
		t.Fatal("the memory does not hold")
	}
	b.assign(0, memory{from: 10, horizon: 20})
	b.next = 3
	if b.known(0, 3) {
		t.Fatal("a record before the commit is known")
	}
	b.action("ann", 0)
	if b.known(0, 12) {
		t.Fatal("the memory of another log is believed")
	}
}

func FuzzDecodeMemory(f *testing.F) {
	for _, s := range []string{"", "u1;", "u1;LAIDAQ", "u1;AQU", "v1;pending=[]"} {
		f.Add(int64(100), s)
	}
	f.Fuzz(func(t *testing.T, at int64, meta string) {
		if at < 0 || at > 1<<60 {
			return
		}
		m, err := decodeMemory(at, meta)
		if err != nil && (m.horizon != 0 || m.open != nil) {
			t.Errorf("%v with an error", m)
		}
		for o := range m.open {
			if o < at || o >= m.horizon {
				t.Errorf("open %d of [%d, %d)", o, at, m.horizon)
			}
		}
	})
}
