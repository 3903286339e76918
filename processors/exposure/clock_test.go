package exposure

import (
	"slices"
	"testing"

	"github.com/dwellhq/dwell/schemas"
)

// A page view that holds no server time yet proves nothing; the first one it holds bounds what it may claim.
func TestNothingIsProvenBeforeTheFirstServerTime(t *testing.T) {
	b := newBench(t)
	for i, ct := range []int64{0, 300, 800} {
		f := shot("p", uint32(i), ct, "s=x")
		if f.EstMs, f.EctMs = 0, 0; i == 2 {
			f.EstMs, f.EctMs = day0+600, 600
		}
		b.send(f)
	}
	b.send(shot("p", 3, 2000, "s=x"))
	if e := b.want("p", "s", "x", 1, 200+1200, false, "UNTIMED"); e.TailMs != 300+300 || e.MaxRunMs != 1400 {
		t.Errorf("tail %d ms, longest run %d", e.TailMs, e.MaxRunMs)
	}
}

func TestServerTimeOfYesterdayTiesNoClock(t *testing.T) {
	b := newBench(t)
	for i := range uint32(10) {
		f := shot("p", i, int64(i)*5000, "s=x")
		f.EstMs = day0 - 700_000 // and so claims the last eleven minutes
		b.send(f)
	}
	b.tick(1_000_000)
	if e := b.last("p", "s", "x"); e.ExposedMs != 0 || e.TailMs != 45_000+5000 {
		t.Errorf("%d ms earned, tail %d", e.ExposedMs, e.TailMs)
	}
}

func TestFaultyFrameEarnsNothingOnEitherSide(t *testing.T) {
	for _, c := range []struct {
		flag string
		make func(*schemas.Frame)
	}{
		{"EARLY", func(f *schemas.Frame) { f.CtMs = 500 }}, // est 1000 is newer
		{"FAST", func(f *schemas.Frame) { f.CtMs = 9000 }},
		{"BACK", func(f *schemas.Frame) { f.CtMs = 1900 }},
	} {
		b := newBench(t)
		for i := range uint32(6) {
			f := shot("p", i, 1000+int64(i)*1000, "s=x")
			if f.EstMs, f.EctMs = day0+1000, 1000; i == 2 {
				c.make(f)
			}
			b.send(f)
		}
		b.want("p", "s", "x", 3, 1000+2000, false, c.flag) // 1–2, 4–5, 5–6 s
	}
}

func TestOverlapInTheMiddleBreaksTheRun(t *testing.T) {
	b := newBench(t)
	b.send(shot("a", 0, 0, "s=x"))
	b.send(shot("b", 0, 2000, "s=x"))
	b.send(shot("b", 1, 3000, "s=x"))
	b.send(shot("b", 2, 3001))
	late := shot("a", 1, 5000, "s=x")
	b.send(late)
	e := b.want("a", "s", "x", 1, 3999, false, "OVERLAP")
	if e.OverlapMs != 1001 || e.MaxRunMs != 2000 || e.ViewableCtMs != 1000 {
		t.Errorf("overlap %d ms, longest run %d, viewable at %d", e.OverlapMs, e.MaxRunMs, e.ViewableCtMs)
	}
}

func TestOverlapAtTheEndBreaksTheRunToo(t *testing.T) {
	b := newBench(t)
	b.send(shot("a", 0, 0, "s=x"))
	b.send(shot("b", 0, 4500, "s=x"))
	b.send(shot("b", 1, 5000))
	b.send(shot("a", 1, 5000, "s=x"))
	b.send(shot("a", 2, 10_000, "s=x"))
	if e := b.want("a", "s", "x", 2, 4500+5000, false, "OVERLAP"); e.MaxRunMs != 5000 {
		t.Errorf("longest run %d ms", e.MaxRunMs)
	}
}

func TestFrameMayBeAheadByAQuarterOfASecond(t *testing.T) {
	for ahead, want := range map[int64]int64{250: 2000, 251: 0} {
		b := newBench(t)
		b.send(shot("p", 0, 0, "s=x"))
		f := shot("p", 1, 2000, "s=x")
		f.ReceivedMs = day0 + 2000 - ahead
		b.send(f)
		b.tick(200_000)
		if e := b.last("p", "s", "x"); e.ExposedMs != want || slices.Contains(e.Flags, "FAST") != (want == 0) {
			t.Errorf("%d ms ahead: %d ms, flags %v", ahead, e.ExposedMs, e.Flags)
		}
	}
}

func TestActOfTheFutureIsNone(t *testing.T) {
	b := newBench(t)
	for i := range uint32(5) {
		f := shot("p", i, int64(i)*5000, "s=x")
		f.ActMs = 18_000
		b.send(f)
	}
	if e := b.last("p", "s", "x"); e.EngagedMs != 5000+5000 { // by the page's start, and by the act itself
		t.Errorf("engaged for %d ms of %d", e.EngagedMs, e.ExposedMs)
	}
}

func TestMorePixelsInViewThanThereAreShowNothing(t *testing.T) {
	b := newBench(t)
	for i := range uint32(3) {
		f := shot("p", i, int64(i)*5000, "s=x")
		f.Slots[0].InPx = f.Slots[0].TotalPx + 1
		b.send(f)
	}
	b.tick(200_000)
	b.want("p", "s", "x", 1, 0, true)
}

// However late a tick comes, it does what ticks at every deadline would have done, at their times.
func TestOneLateTickEqualsManyInTime(t *testing.T) {
	run := func(ticks ...int64) string {
		b := newBench(t)
		b.send(shot("p", 0, 0, "s=x"))
		b.send(shot("p", 2, 2000, "s=x"))
		b.send(shot("p", 4, 6000, "s=x"))
		b.send(shot("q", 1, 6500, "s=x"))
		b.send(shot("q", 2, 8500, "s=x"))
		for _, ms := range ticks {
			b.tick(ms)
		}
		return ledger(t, b.out, true)
	}
	var every []int64
	for ms := int64(8000); ms <= 300_000; ms += 20 {
		every = append(every, ms)
	}
	if late, inTime := run(300_000), run(every...); late != inTime {
		t.Errorf("one late tick:\n%s\nmany in time:\n%s", late, inTime)
	}
}
