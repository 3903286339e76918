package exposure

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// newFrame copies a frame, which the machine would keep.
func newFrame(f *schemas.Frame) *schemas.Frame {
	b, err := topics.Frames.Codec.Append(nil, f)
	if err != nil {
		panic(err)
	}
	c, err := topics.Frames.Codec.Decode(b)
	if err != nil {
		panic(err)
	}
	return c
}

// inOrder sorts frames by their arrival; equal ones stay as they are.
func inOrder(log []*schemas.Frame) []*schemas.Frame {
	slices.SortStableFunc(log, func(a, b *schemas.Frame) int { return cmp.Compare(a.ReceivedMs, b.ReceivedMs) })
	return log
}

// play runs frames through the processor, each step twice and from its stored row, moving the clock
// with them, and lets everything time out.
func play(t testing.TB, log []*schemas.Frame) []*schemas.Exposure {
	t.Helper()
	r := proctest.New(t, Processor)
	for _, f := range log {
		if d := time.UnixMilli(f.ReceivedMs).Sub(r.Now()); d > 0 {
			r.Advance(d)
		}
		proctest.Send(r, topics.Frames, f.Key(), f)
	}
	r.Advance(10 * time.Minute)
	return proctest.Take(r, topics.Exposures)
}

// tb makes a testing.TB of a rapid check, so that a failure inside shrinks.
type tb struct {
	testing.TB
	r *rapid.T
}

func (t tb) Helper()                      { t.r.Helper() }
func (t tb) Fatalf(f string, args ...any) { t.r.Fatalf(f, args...) }
func (t tb) Errorf(f string, args ...any) { t.r.Errorf(f, args...) }

// browser is an honest page view in a world of its own clock.
type browser struct {
	user, view string
	born       int64 // server time at ct 0
	seq        uint32
	est, ect   int64
	act        int64
	fill       int
	slots      []*schemas.FrameSlot
}

// frame is what the browser sends at a server time; it arrives latency later.
func (b *browser) frame(at, latency int64, focused bool) *schemas.Frame {
	f := &schemas.Frame{
		Tenant: "acme", User: b.user, PageView: b.view, Seq: b.seq, CtMs: at - b.born, EstMs: b.est, EctMs: b.ect,
		Visible: focused, Focused: focused, ActMs: b.act, ReceivedMs: at + latency,
	}
	for _, s := range b.slots {
		f.Slots = append(f.Slots, &schemas.FrameSlot{Slot: s.Slot, Fill: s.Fill, InPx: s.InPx, TotalPx: s.TotalPx, OpenedSeq: s.OpenedSeq})
	}
	b.seq++
	b.est, b.ect = at+latency, at-b.born+2*latency // the answer, which the next frame carries
	return newFrame(f)
}

// turn changes what the browser shows.
func (b *browser) turn(t *rapid.T, at int64) {
	if rapid.IntRange(0, 3).Draw(t, "act") == 0 {
		b.act = at - b.born
	}
	if rapid.IntRange(0, 5).Draw(t, "open or close") == 0 {
		if len(b.slots) > 1 {
			b.slots = b.slots[1:]
		} else {
			name := rapid.SampledFrom([]string{"top", "side", "feed/1"}).Draw(t, "slot")
			if !slices.ContainsFunc(b.slots, func(s *schemas.FrameSlot) bool { return s.Slot == name }) {
				b.slots = append(b.slots, &schemas.FrameSlot{Slot: name, Fill: "f0", TotalPx: 75_000, OpenedSeq: b.seq})
			}
		}
	}
	for _, s := range b.slots {
		s.InPx = rapid.SampledFrom([]int64{75_000, 75_000, 75_000, 37_500, 37_499, 0}).Draw(t, "in view")
		if rapid.IntRange(0, 7).Draw(t, "swap") == 0 {
			b.fill++
			s.Fill = fmt.Sprint("f", b.fill%4)
		}
	}
}

// honest draws what up to three tabs of one user send in at most 100 s: one has the focus at a time;
// now and then a frame is lost for ever. A timeout (120 s) is out of reach, so that delays decide none.
func honest(t *rapid.T, user string) []*schemas.Frame {
	at := proctest.Start.UnixMilli() + rapid.Int64Range(0, 5000).Draw(t, "start")
	end := at + 100_000
	var tabs []*browser
	for i := range rapid.IntRange(1, 3).Draw(t, "tabs") {
		b := &browser{user: user, view: fmt.Sprint("pv", i), born: at - rapid.Int64Range(50, 400).Draw(t, "age")}
		if rapid.Bool().Draw(t, "has a server time") {
			b.est, b.ect = at-10, at-b.born-5
		}
		b.slots = []*schemas.FrameSlot{{Slot: "top", Fill: "f0", TotalPx: 75_000, InPx: 75_000}}
		tabs = append(tabs, b)
	}
	var log []*schemas.Frame
	send := func(b *browser, focused bool) {
		f := b.frame(at, rapid.Int64Range(5, 60).Draw(t, "latency"), focused)
		if f.Seq == 0 || rapid.IntRange(0, 19).Draw(t, "lost") != 0 {
			log = append(log, f)
		}
	}
	now := tabs[0]
	for range rapid.IntRange(3, 25).Draw(t, "frames") {
		now.turn(t, at)
		send(now, true)
		if at += rapid.Int64Range(300, 6300).Draw(t, "pause"); at > end {
			break
		}
		if next := rapid.SampledFrom(tabs).Draw(t, "tab"); next != now {
			send(now, false)
			now = next
			at += rapid.Int64Range(300, 1500).Draw(t, "switch")
		}
	}
	if rapid.Bool().Draw(t, "ends") {
		f := now.frame(at, 20, true)
		f.End = true
		log = append(log, f)
	}
	return inOrder(log)
}
