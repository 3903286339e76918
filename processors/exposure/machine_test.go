package exposure

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/schemas"
)

// bench is a machine and one user's row, with server time counted from 0.
type bench struct {
	*testing.T
	m   Machine
	row *schemas.ExposureRow
	out []*schemas.Exposure
}

func newBench(t *testing.T) *bench {
	m, err := NewMachine(DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	return &bench{T: t, m: m, row: &schemas.ExposureRow{}}
}

// day0 is server time 0 of the stories: late enough that a client without a server time is told apart.
const day0 = 1_000_000_000_000

// shot is a focused frame at ct with the given slots in view, made when server time was day0 + ct.
func shot(view string, seq uint32, ct int64, slots ...string) *schemas.Frame {
	f := &schemas.Frame{
		Tenant: "acme", User: "ann", PageView: view, Seq: seq, CtMs: ct, EstMs: day0, ReceivedMs: day0 + ct + 40, Visible: true, Focused: true,
	}
	for _, s := range slots {
		slot, fill, _ := strings.Cut(s, "=")
		f.Slots = append(f.Slots, &schemas.FrameSlot{Slot: slot, Fill: fill, InPx: 300, TotalPx: 300})
	}
	return f
}

func (b *bench) send(f *schemas.Frame) bool {
	entries, changed := b.m.Frame(b.row, "acme/ann", schemas.Coordinates{}, newFrame(f))
	b.out = append(b.out, entries...)
	return changed
}

func (b *bench) tick(ms int64) {
	b.out = append(b.out, b.m.Tick(b.row, "acme/ann", schemas.Coordinates{}, day0+ms)...)
}

// last is the newest entry of a fill.
func (b *bench) last(view, slot, fill string) *schemas.Exposure {
	b.Helper()
	for _, e := range slices.Backward(b.out) {
		if e.PageView == view && e.Slot == slot && e.Fill == fill {
			return e
		}
	}
	b.Fatalf("no entry for %s/%s/%s among %v", view, slot, fill, b.out)
	return nil
}

func (b *bench) want(view, slot, fill string, n uint32, exposed int64, closed bool, flags ...string) *schemas.Exposure {
	b.Helper()
	e := b.last(view, slot, fill)
	if e.N != n || e.ExposedMs != exposed || e.Closed != closed || !slices.Equal(e.Flags, flags) {
		b.Errorf("%s: n %d, %d ms, closed %t, flags %v; want n %d, %d ms, closed %t, flags %v", e.Id, e.N, e.ExposedMs, e.Closed, e.Flags, n, exposed, closed, flags)
	}
	checkLedger(b, b.out)
	return e
}

func TestEntryGoesOutWhenASecondPassesOrAFillBecomesViewable(t *testing.T) {
	b := newBench(t)
	for i, ct := range []int64{0, 500, 900, 1000, 1200, 5000} {
		b.send(shot("p", uint32(i), ct, "s=x"))
	}
	var got []string
	for _, e := range b.out {
		got = append(got, fmt.Sprint(e.N, ":", e.SecFrom, "-", e.SecTo, " ", e.ExposedMs, " ", e.Viewable, " ", e.UpdatedMs-day0))
	}
	want := []string{"1:0-1 1000 true 1040", "2:1-5 5000 true 5040"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFillNeverSeenHasOneEntry(t *testing.T) {
	b := newBench(t)
	f := shot("p", 0, 0, "s=x")
	f.Slots[0].InPx, f.Slots[0].Campaign = 0, "spring"
	b.send(f)
	if len(b.out) != 0 {
		t.Errorf("an entry before the close: %v", b.out)
	}
	b.tick(120_040)
	if e := b.want("p", "s", "x", 1, 0, true); e.Campaign != "spring" || e.BillableS != 0 {
		t.Errorf("got %v", e)
	}
}

func TestSlotThatDisappearsClosesAndComesBackWithItsTotals(t *testing.T) {
	b := newBench(t)
	b.send(shot("p", 0, 0, "s=x", "t=y"))
	b.send(shot("p", 1, 2500, "t=y"))
	b.want("p", "s", "x", 1, 2500, true)
	b.want("p", "t", "y", 1, 2500, false)
	b.send(shot("p", 2, 4000, "t=y", "s=x"))
	b.send(shot("p", 3, 6000, "t=y", "s=x"))
	b.want("p", "s", "x", 2, 4500, false, "REOPENED")
	b.want("p", "t", "y", 3, 6000, false)
}

func TestSlotOpenedAnewBetweenTwoFramesIsAnotherShowing(t *testing.T) {
	b := newBench(t)
	b.send(shot("p", 0, 0, "s=x"))
	f := shot("p", 3, 900, "s=x") // 1 and 2 are lost
	f.Slots[0].OpenedSeq = 2
	b.send(f)
	b.tick(10_940)
	b.want("p", "s", "x", 1, 0, true, "GAP")
	b.send(shot("p", 4, 1900))
	b.want("p", "s", "x", 2, 1000, true, "GAP", "REOPENED")
}

func TestSwapAndSwapBackKeepsIDsApart(t *testing.T) {
	b := newBench(t)
	for i := range 40 {
		b.send(shot("p", uint32(i), int64(i)*1000, "s="+string(rune('a'+i%3))))
	}
	b.want("p", "s", "a", 13, 13_000, true, "REOPENED")
	b.want("p", "s", "b", 13, 13_000, true, "REOPENED")
}

// More fills than a page view remembers: the first comes back as a new one, under ids not yet taken.
func TestForgottenFillComesBackUnderNewIDs(t *testing.T) {
	b := newBench(t)
	b.send(shot("p", 0, 0, "s=first"))
	b.send(shot("p", 1, 1000, "s=first"))
	b.send(shot("p", 2, 2000, "s=first"))
	for i := range 100 {
		b.send(shot("p", uint32(i)+3, 3000+int64(i), fmt.Sprint("s=", i)))
	}
	if n := len(b.row.Views[0].Past); n != maxPast {
		t.Errorf("%d past fills are kept, want %d", n, maxPast)
	}
	before := len(b.out)
	b.send(shot("p", 103, 4000, "s=first"))
	b.send(shot("p", 104, 6000, "s=first"))
	e := b.last("p", "s", "first")
	if e.N != 4 || e.ExposedMs != 2000 || e.SecFrom != 0 {
		t.Errorf("got %v", e)
	}
	for _, o := range b.out[:before] {
		if o.Id == e.Id {
			t.Errorf("the id %s was taken", e.Id)
		}
	}
}

func TestFrameOfAClosedPageViewIsLate(t *testing.T) {
	b := newBench(t)
	end := shot("p", 1, 3000, "s=x")
	end.End = true
	b.send(shot("p", 0, 0, "s=x"))
	b.send(end)
	b.want("p", "s", "x", 1, 3000, true)
	n := len(b.out)
	for seq := range uint32(5) {
		if b.send(shot("p", seq, int64(seq)*3000, "s=x")) {
			t.Errorf("seq %d of a closed page view changed the row", seq)
		}
	}
	b.tick(30_000)
	if len(b.out) != n || len(b.row.Views) != 0 {
		t.Errorf("%d entries came after the end", len(b.out)-n)
	}
}

func TestFramesBehindTheEndAreDropped(t *testing.T) {
	b := newBench(t)
	b.send(shot("p", 0, 0, "s=x"))
	b.send(shot("p", 2, 2000, "s=x"))
	end := shot("p", 1, 1000, "s=x")
	end.End = true
	b.send(end)
	b.want("p", "s", "x", 1, 1000, true)
	if len(b.row.Views) != 0 {
		t.Error("the page view is still open")
	}
}

func TestClosedPageViewBeyondTheListDoesNotBeginAgain(t *testing.T) {
	b := newBench(t)
	for i := range 100 {
		f := shot(fmt.Sprint("p", i), 0, int64(i)*1000, "s=x")
		f.End = true
		b.send(f)
	}
	if n := len(b.row.Closed); n != maxClosed {
		t.Fatalf("%d closed page views are remembered, want %d", n, maxClosed)
	}
	n := len(b.out)
	late := shot("p3", 0, 3000, "s=x")
	late.ReceivedMs = day0 + 100_000
	b.send(late)
	later := shot("p4", 7, 5000, "s=x") // of a page as old as the log: it may have been p4
	later.ReceivedMs = day0 + 100_100
	b.send(later)
	b.tick(111_000)
	if len(b.out) != n || len(b.row.Views) != 0 {
		t.Errorf("a forgotten page view began again: %v", b.out[n:])
	}
	fresh := shot("new", 0, 101_000, "s=x")
	b.send(fresh)
	b.send(shot("new", 1, 103_000, "s=x"))
	b.want("new", "s", "x", 1, 2000, false)
}

func TestSeventeenthPageViewEvictsTheFirst(t *testing.T) {
	b := newBench(t)
	for i := range MaxViews {
		b.send(shot(fmt.Sprint("p", i), 0, int64(i), "s=x"))
	}
	b.send(shot("p0", 2, 1500, "s=x")) // waits
	b.send(shot("one more", 0, 2000, "s=x"))
	e := b.want("p0", "s", "x", 1, 0, true, "GAP", "NOEND", "EVICTED")
	if e.TailMs != 1500+5000 || len(b.row.Views) != MaxViews {
		t.Errorf("tail %d ms, %d page views are open", e.TailMs, len(b.row.Views))
	}
}

func TestSeventeenParkedFramesEndTheWait(t *testing.T) {
	b := newBench(t)
	b.send(shot("p", 0, 0, "s=x"))
	for i := range uint32(MaxParked) {
		b.send(shot("p", 2+i, 200+int64(i)*100, "s=x"))
	}
	if n := len(b.row.Views[0].Parked); n != MaxParked {
		t.Fatalf("%d frames wait, want %d", n, MaxParked)
	}
	b.send(shot("p", 2+MaxParked, 1900, "s=x"))
	b.want("p", "s", "x", 1, 1000, false, "GAP") // at ct 1200, and it goes on
	if n := len(b.row.Views[0].Parked); n != 0 {
		t.Errorf("%d frames wait", n)
	}
}

func TestLostFirstFrameDelaysThePageViewOnly(t *testing.T) {
	b := newBench(t)
	b.send(shot("p", 1, 1000, "s=x"))
	b.send(shot("p", 2, 4000, "s=x"))
	b.tick(11_039)
	if len(b.out) != 0 {
		t.Errorf("not waited for: %v", b.out)
	}
	b.tick(11_040)
	b.want("p", "s", "x", 1, 3000, false)
}

func TestInvalidFrameLeavesTheRow(t *testing.T) {
	b := newBench(t)
	b.send(shot("p", 0, 0, "s=x"))
	before := b.row.String()
	for name, spoil := range map[string]func(*schemas.Frame){
		"another tenant": func(f *schemas.Frame) { f.Tenant = "other" },
		"another user":   func(f *schemas.Frame) { f.User = "bob" },
		"no page view":   func(f *schemas.Frame) { f.PageView = "" },
		"negative area":  func(f *schemas.Frame) { f.Slots[0].InPx = -1 },
		"negative time":  func(f *schemas.Frame) { f.CtMs = -1 },
		"a slot twice":   func(f *schemas.Frame) { f.Slots = append(f.Slots, f.Slots[0]) },
		"a duplicate":    func(f *schemas.Frame) { f.Seq = 0 },
	} {
		f := shot("p", 1, 1000, "s=x")
		spoil(f)
		if b.send(f) || b.row.String() != before {
			t.Errorf("%s: the row changed", name)
		}
	}
}

func TestBigRowLetsPageViewsGo(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", schemas.MaxIDBytes-4)
	for i := range 40 {
		for seq := range uint32(3) {
			f := shot(fmt.Sprint("p", i), seq*2, int64(i)*100, "s=x") // 2 and 4 wait
			f.Slots = nil
			for s := range schemas.MaxFrameSlots {
				name := fmt.Sprintf("%04d", s)
				f.Slots = append(f.Slots, &schemas.FrameSlot{Slot: long + name, Fill: long + name, Campaign: long, Creative: long, Placement: long, InPx: 1, TotalPx: 1})
			}
			b.send(f)
			if n := b.row.SizeVT(); n > maxRowBytes {
				t.Fatalf("the row has %d bytes", n)
			}
		}
	}
	if !slices.Contains(b.last("p0", long+"0000", long+"0000").Flags, "EVICTED") {
		t.Error("p0 went without a flag")
	}
}

func TestSlashesKeepIDsApart(t *testing.T) {
	ids := map[string]bool{}
	for _, p := range [][3]string{{"a/b", "c", "d"}, {"a", "b/c", "d"}, {"a", "b", "c/d"}, {"a%2Fb", "c", "d"}, {"a", "b", "c%2Fd"}} {
		ids[entryID(p[0], p[1], p[2], 1)] = true
	}
	if got := entryID("a/b", "c%d/", "e/f", 12); got != "a%2Fb/c%25d%2F/e%2Ff/12" {
		t.Errorf("got %s", got)
	}
	if len(ids) != 5 || entryID("pv", "top", "7", 3) != "pv/top/7/3" {
		t.Errorf("ids %v", ids)
	}
}
