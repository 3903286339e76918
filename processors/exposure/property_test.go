package exposure

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// ledger is the entries as text, one a line, by id, without what names time and place of arrival.
func ledger(t testing.TB, entries []*schemas.Exposure, arrival bool) string {
	t.Helper()
	var lines []string
	for _, e := range entries {
		e.SrcOffset = 0
		if !arrival {
			e.UpdatedMs, e.StartedMs = 0, 0
		}
		lines = append(lines, e.User+" "+e.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Not the totals alone: the ledger is the same entry by entry.
func TestReorderingAndDuplicationChangeNothing(t *testing.T) {
	moved := 0
	rapid.Check(t, func(r *rapid.T) {
		log := honest(r, "ann")
		want := ledger(tb{t, r}, play(tb{t, r}, log), false)
		var worse []*schemas.Frame
		for _, f := range log {
			for range rapid.IntRange(1, 3).Draw(r, "copies") {
				late := newFrame(f)
				late.ReceivedMs += rapid.Int64Range(0, 4000).Draw(r, "delay")
				worse = append(worse, late)
			}
		}
		if worse = inOrder(worse); !slices.IsSortedFunc(worse, func(a, b *schemas.Frame) int { return cmp.Compare(a.Seq, b.Seq) }) {
			moved++
		}
		if got := ledger(tb{t, r}, play(tb{t, r}, worse), false); got != want {
			r.Fatalf("in order:\n%s\nout of order:\n%s", want, got)
		}
	})
	if moved == 0 {
		t.Error("no log was out of order")
	}
}

func TestLedgerTelescopesAndEveryFillCloses(t *testing.T) {
	seen := map[string]bool{}
	rapid.Check(t, func(r *rapid.T) {
		entries := play(tb{t, r}, honest(r, "ann"))
		checkLedger(tb{t, r}, entries)
		last, first := map[string]*schemas.Exposure{}, map[string]*schemas.Exposure{}
		for _, e := range entries {
			at := e.PageView + "|" + e.Slot + "|" + e.Fill
			if last[at] = e; first[at] == nil {
				first[at] = e
			}
			for _, f := range e.Flags {
				seen[f] = true
			}
		}
		for at, e := range last {
			if !e.Closed || first[at].N != 1 || e.RulesHash != DefaultPolicy().Hash() || e.SrcTopic != topics.Frames.Name {
				r.Errorf("%s: the last entry is %v", at, e)
			}
		}
	})
	for _, f := range []string{"GAP", "SLEEP", "NOEND", "UNTIMED", "REOPENED"} {
		if !seen[f] {
			t.Errorf("no session had %s", f)
		}
	}
	for _, f := range []string{"OVERLAP", "EARLY", "FAST", "BACK", "EVICTED"} {
		if seen[f] {
			t.Errorf("an honest session was flagged %s", f)
		}
	}
}

// shown is what honest frames say, counted with no machine: the time from a frame to the next, if none
// is missing between them, belongs to every fill that the first shows well enough.
func shown(log []*schemas.Frame) map[string]int64 {
	sum := map[string]int64{}
	views := map[string][]*schemas.Frame{}
	for _, f := range log {
		views[f.PageView] = append(views[f.PageView], f)
	}
	for view, frames := range views {
		slices.SortFunc(frames, func(a, b *schemas.Frame) int { return cmp.Compare(a.Seq, b.Seq) })
		for i, f := range frames {
			for _, s := range f.Slots {
				at := view + "|" + s.Slot + "|" + s.Fill
				sum[at] += 0
				if i+1 == len(frames) || frames[i+1].Seq != f.Seq+1 || !f.Focused || s.InPx*2 < s.TotalPx {
					continue
				}
				switch next := frames[i+1]; {
				case next.CtMs-f.CtMs > 6000, next.EstMs == 0:
				case f.EstMs == 0: // proven from the first server time on
					sum[at] += next.CtMs - max(f.CtMs, next.EctMs)
				default:
					sum[at] += next.CtMs - f.CtMs
				}
			}
		}
	}
	return sum
}

func TestHonestSessionEarnsWhatItShowed(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := honest(r, "ann")
		got := map[string]int64{}
		for _, e := range play(tb{t, r}, log) {
			got[e.PageView+"|"+e.Slot+"|"+e.Fill] = e.ExposedMs
		}
		if want := shown(log); !maps.Equal(got, want) {
			r.Fatalf("earned %v, showed %v", got, want)
		}
	})
}

// Among others, woken at each of their frames, or alone and woken by the own frames only: the ledger is
// the same, its times too.
func TestOneUserReplayedAloneEqualsTheFullReplay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		users := []string{"ann", "bob", "cid"}
		var all []*schemas.Frame
		for _, u := range users {
			all = append(all, honest(r, u)...)
		}
		full := map[string][]*schemas.Exposure{}
		for _, e := range play(tb{t, r}, inOrder(all)) {
			full[e.User] = append(full[e.User], e)
		}
		for _, u := range users {
			own := slices.DeleteFunc(slices.Clone(all), func(f *schemas.Frame) bool { return f.User != u })
			alone, want := ledger(tb{t, r}, play(tb{t, r}, own), true), ledger(tb{t, r}, full[u], true)
			if alone != want {
				r.Fatalf("%s alone:\n%s\namong others:\n%s", u, alone, want)
			}
		}
	})
}

// forger is a tab that sends what pays. It holds the server times that the server gave, no others.
type forger struct {
	view     string
	seq      uint32
	ct, off  int64
	est, ect int64
}

// step moves the forger's clocks: as a rule as far as the checks let it, now and then anyhow.
func (f *forger) step(t *rapid.T, now int64, given []int64) {
	switch rapid.IntRange(0, 24).Draw(t, "trick") {
	case 0:
		f.est = rapid.SampledFrom(given).Draw(t, "est")
	case 1:
		f.ect = max(0, f.ct+rapid.Int64Range(-4000, 4000).Draw(t, "ect"))
	case 2:
		f.est, f.ect = 0, 0
	case 3:
		f.ct += rapid.Int64Range(-min(f.ct, 9000), 9000).Draw(t, "jump")
	case 4:
		f.seq++
	default:
		f.ct = max(f.ct, min(f.ct+rapid.SampledFrom([]int64{6000, 6000, 5000, 700}).Draw(t, "claim"), now+250-f.off))
	}
	f.off = max(f.off, f.est-f.ect)
}

// forged draws a log of up to three forging tabs: they choose sequence, clocks, act and which of the
// server's times they carry; only the arrival is true. wall is the time from the first server time
// given to the last arrival.
func forged(t *rapid.T) (log []*schemas.Frame, wall int64) {
	start := proctest.Start.UnixMilli()
	now, given := start, []int64{start}
	tabs := make([]*forger, rapid.IntRange(1, 3).Draw(t, "tabs"))
	for i := range tabs {
		tabs[i] = &forger{view: string(rune('a' + i)), est: start, off: start}
	}
	for range rapid.IntRange(10, 150).Draw(t, "frames") {
		now += rapid.SampledFrom([]int64{0, 0, 1, 50, 400, 3000}).Draw(t, "pause")
		f := rapid.SampledFrom(tabs).Draw(t, "tab")
		f.step(t, now, given)
		see := rapid.IntRange(0, 5).Draw(t, "see") != 0
		sent := &schemas.Frame{
			Tenant: "acme", User: "eve", PageView: f.view, Seq: f.seq, CtMs: f.ct, EstMs: f.est, EctMs: f.ect, ReceivedMs: now,
			Visible: see, Focused: see, ActMs: f.ct, End: rapid.IntRange(0, 30).Draw(t, "end") == 0,
			Slots: []*schemas.FrameSlot{{Slot: "s", Fill: "x", InPx: 1, TotalPx: 1}},
		}
		log, given = append(log, sent), append(given, now)
		f.seq++
		if sent.End { // the same tab under another name, with the first server time again
			*f = forger{view: f.view + "'", est: start, off: start}
		}
	}
	return log, now - start
}

func TestNoForgeryBeatsTheWallClock(t *testing.T) {
	tried, most := 0, int64(0)
	for range 5 { // × 100 logs
		rapid.Check(t, func(r *rapid.T) {
			log, wall := forged(r)
			last := map[string]*schemas.Exposure{}
			entries := play(tb{t, r}, log)
			checkLedger(tb{t, r}, entries)
			for _, e := range entries {
				last[e.PageView] = e
			}
			var sum, claimed int64
			for e := range maps.Values(last) {
				sum += e.ExposedMs
				claimed += e.ExposedMs + e.OverlapMs
			}
			if sum > wall+250 {
				r.Fatalf("%d ms earned in %d ms", sum, wall)
			}
			if claimed > wall+250 {
				tried++
			}
			most = max(most, sum-wall)
		})
	}
	if tried < 50 {
		t.Errorf("only %d of 500 logs claimed more than there was", tried)
	}
	t.Logf("%d of 500 logs claimed more than there was; the best earned the wall time %+d ms", tried, most)
}

// A forger who knows the row: one tab earns every other moment in more stretches than the row tells
// apart, then a second claims everything from the start.
func TestManyStretchesHideNoSecond(t *testing.T) {
	start := proctest.Start.UnixMilli()
	var log []*schemas.Frame
	add := func(view string, seq uint32, ct, at int64, see bool) {
		log = append(log, &schemas.Frame{
			Tenant: "acme", User: "eve", PageView: view, Seq: seq, CtMs: ct, EstMs: start, ReceivedMs: start + at, Visible: see, Focused: see,
			Slots: []*schemas.FrameSlot{{Slot: "s", Fill: "x", InPx: 1, TotalPx: 1}},
		})
	}
	const n, step = 400, 100
	for i := range uint32(n) {
		add("a", i, int64(i)*step, int64(i)*step, i%2 == 0)
	}
	for i := range uint32(n / 10) {
		add("b", i, int64(i)*10*step, n*step+int64(i), true)
	}
	sum := map[string]int64{}
	for _, e := range play(t, log) {
		sum[e.PageView] = e.ExposedMs
	}
	if sum["a"] != n*step/2 {
		t.Errorf("a earned %d ms, want %d", sum["a"], n*step/2)
	}
	if sum["b"] == 0 || sum["a"]+sum["b"] > n*step {
		t.Errorf("a earned %d ms and b %d, in %d", sum["a"], sum["b"], n*step)
	}
}

// The deadline of every row comes to an end: after a day of silence nothing is kept.
func TestRowIsForgottenADayAfterItsLastPageView(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		run := proctest.New(tb{t, r}, Processor)
		log := honest(r, "ann")
		for _, f := range log {
			run.Advance(max(0, time.UnixMilli(f.ReceivedMs).Sub(run.Now())))
			proctest.Send(run, topics.Frames, f.Key(), f)
		}
		run.Advance(23 * time.Hour)
		if run.Row("acme/ann") == nil {
			r.Fatal("forgotten too early: a late frame would begin its page view again")
		}
		run.Advance(2 * time.Hour)
		if b := run.Row("acme/ann"); b != nil {
			r.Fatalf("%d bytes are left", len(b))
		}
	})
}
