package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	browserpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// banner is a slot of 300×250 at the top of a page that is long enough to scroll it away.
const banner = `<style>body{margin:0;height:3000px}</style>
<div id="b" data-dwell-slot="banner" data-dwell-fill="f1" data-dwell-campaign="c1" data-dwell-creative="x1" data-dwell-placement="top" style="width:300px;height:250px"></div>`

// bannerPage opens a page with slots and waits for its first frame.
func bannerPage(t *testing.T, markup string) (*gateway, *tab, frame) {
	t.Helper()
	g := newGateway(t)
	g.markup = markup
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	return g, b, g.frame("to begin with", func(f frame) bool { return f.Seq == 0 })
}

// unbroken fails the test unless the frames of a page view have every seq once, in order of time.
func (g *gateway) unbroken(pv string) (frames []frame) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := map[int]bool{}
	for _, f := range g.frames() {
		if f.PV == pv && !seen[f.Seq] {
			seen[f.Seq] = true
			frames = append(frames, f)
		}
	}
	slices.SortFunc(frames, func(a, b frame) int { return a.Seq - b.Seq })
	for i, f := range frames {
		if f.Seq != i || i > 0 && f.CT < frames[i-1].CT {
			g.t.Errorf("frame %d has seq %d and ct %d", i, f.Seq, f.CT)
		}
	}
	return frames
}

func TestFramesAddUp(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	if first.V != 1 || len(first.PV) != 16 || first.Vis != 1 || first.Foc != 1 || first.Frz != 0 || first.VW != 800 || first.VH != 600 {
		t.Errorf("frame %+v", first)
	}
	if want := (slot{0, "f1", "c1", "x1", "top", 75000, 75000}); first.Slots["banner"] != want || len(first.Slots) != 1 {
		t.Errorf("slots %+v, want %+v", first.Slots, want)
	}
	if first.call.Anonymous == "" || first.call.Anonymous != first.UID || first.call.WriteKey != "k1" || first.call.kind != "text/plain;charset=UTF-8" {
		t.Errorf("sent as %+v", first.call)
	}
	// Half of it scrolled away, and a little more.
	b.run(`scrollTo(0,125)`)
	g.frame("with half of the slot", func(f frame) bool { return f.Slots["banner"].In == 37500 })
	b.run(`scrollTo(0,140)`)
	g.frame("with less than half", func(f frame) bool { return f.Slots["banner"].In == 33000 && f.Slots["banner"].Tot == 75000 })
	b.run(`scrollTo(0,1000)`)
	g.frame("with nothing in view", func(f frame) bool { return f.Slots["banner"].In == 0 })
	b.run(`scrollTo(0,0)`)
	last := g.frame("with all of it again", func(f frame) bool { return f.Seq > 3 && f.Slots["banner"].In == 75000 })
	if last.EST == 0 || time.Since(time.UnixMilli(last.EST)).Abs() > time.Minute || last.ECT == 0 || last.ECT > last.CT {
		t.Errorf("est %d, ect %d, ct %d", last.EST, last.ECT, last.CT)
	}
	g.unbroken(first.PV)
	b.unharmed()
}

func TestScrollTellsMarksAtOnceAndTheRestTogether(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	took := eval[float64](b, `new Promise(done => {
		const began = performance.now();
		let y = 0;
		const step = () => (scrollTo(0, y += 5), y < 260 ? requestAnimationFrame(step) : done(performance.now() - began));
		step();
	})`)
	g.frame("with nothing in view", func(f frame) bool { return f.Slots["banner"].In == 0 })
	frames := g.unbroken(first.PV)
	i := slices.IndexFunc(frames, func(f frame) bool { return f.Slots["banner"].In < 37500 })
	if in := frames[i].Slots["banner"].In; in < 37500-3750 {
		t.Errorf("the first frame below half has %d px, want less than a step of 3,750 below 37,500", in)
	}
	// Marks at 100, 50, 30 and 0 %, one for every 200 ms, and the first.
	if most := 6 + int(took/200); len(frames) > most {
		t.Errorf("%d frames in %.0f ms of scrolling, want at most %d", len(frames), took, most)
	}
}

func TestHeartbeatOnlyWhileInView(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	second := g.frame("after 5 s", func(f frame) bool { return f.CT >= first.CT+4900 })
	before := g.unbroken(first.PV)[second.Seq-1]
	if d := second.CT - before.CT; d < 4900 || d > 7000 { // a busy machine is late
		t.Errorf("the heartbeat came after %d ms, want 5,000", d)
	}
	b.run(`scrollTo(0,1000)`)
	out := g.frame("with nothing in view", func(f frame) bool { return f.Slots["banner"].In == 0 })
	// Nothing is in view: 5.5 s later no other frame has come. The page's own clock tells when.
	b.until(fmt.Sprintf("performance.now() > %d", out.CT+5500))
	frames := g.unbroken(first.PV)
	if l := frames[len(frames)-1]; l.Seq != out.Seq {
		t.Errorf("a frame without anything in view: %+v", l)
	}
}

func TestSlotsComeChangeAndGo(t *testing.T) {
	g, b, first := bannerPage(t, banner+`<div data-dwell-slot="banner" id="twin" style="width:10px;height:10px"></div><div data-dwell-slot=""></div>`)
	b.run(`document.querySelector('#b').dataset.dwellFill='f2'`)
	g.frame("with the other fill", func(f frame) bool { return f.Slots["banner"].Fill == "f2" && f.Slots["banner"].O == 0 })
	b.run(`document.body.insertAdjacentHTML('afterbegin','<p data-dwell-slot="late" style="width:100px;height:100px;margin:0"></p>')`)
	late := g.frame("with the new slot", func(f frame) bool { return f.Slots["late"].Tot > 0 })
	if s := late.Slots["late"]; s.O != late.Seq || s.In != 10000 || s.Tot != 10000 || s.Fill != "1" || late.Slots["banner"].O != 0 {
		t.Errorf("frame %d has slots %+v", late.Seq, late.Slots)
	}
	b.run(`document.querySelector('[data-dwell-slot=late]').style.height='200px'`)
	b.run(`document.querySelector('#b').remove()`)
	// The twin of the same name takes its place, as a slot that opens now.
	g.frame("with the twin", func(f frame) bool { return f.Slots["banner"].Tot == 100 && f.Slots["banner"].O == f.Seq })
	b.run(`document.querySelectorAll('[data-dwell-slot]').forEach(e=>e.remove())`)
	g.frame("without slots", func(f frame) bool { return f.Seq > late.Seq && len(f.Slots) == 0 })
	g.unbroken(first.PV)
	b.unharmed()
}

func TestPageWithoutSlotsSendsNoFrames(t *testing.T) {
	g := newGateway(t)
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	b.run(`dispatchEvent(new Event('focus'))`)
	eval[any](b, `dwell('track','done')`)
	b.open("about:blank")
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.frames(); len(f) > 0 {
		t.Errorf("frames %+v", f)
	}
}

func TestFrameHoldsAtMost64Slots(t *testing.T) {
	markup := ""
	for i := range 80 {
		markup += fmt.Sprintf(`<i data-dwell-slot="s%d" style="float:left;width:10px;height:10px"></i>`, i)
	}
	g, _, _ := bannerPage(t, markup)
	f := g.frame("with all", func(f frame) bool { return len(f.Slots) >= 64 })
	if len(f.Slots) != 64 || f.Slots["s63"].Tot != 100 {
		t.Errorf("%d slots", len(f.Slots))
	}
}

func TestHidingIsTold(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	b.cover()
	hidden := g.frame("of a hidden page", func(f frame) bool { return f.Vis == 0 && f.Foc == 0 && f.Frz == 0 })
	b.front()
	g.frame("of a page shown again", func(f frame) bool { return f.Seq > hidden.Seq && f.Vis == 1 && f.Foc == 1 })
	b.run(`(()=>{document.hasFocus=()=>false;dispatchEvent(new Event('blur'))})()`)
	blur := g.frame("without focus", func(f frame) bool { return f.Seq > hidden.Seq && f.Foc == 0 && f.Vis == 1 })
	if blur.Slots["banner"].In != 75000 {
		t.Errorf("slots %+v", blur.Slots)
	}
	g.unbroken(first.PV)
}

func TestFreezingIsTold(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	for _, s := range []browserpage.SetWebLifecycleStateState{"frozen", "active"} {
		if _, err := chromedp.Call(b, browserpage.SetWebLifecycleState, browserpage.SetWebLifecycleStateParams{State: s}); err != nil {
			t.Fatal(err)
		}
	}
	frozen := g.frame("of a frozen page", func(f frame) bool { return f.Vis == 0 && f.Frz == 1 })
	g.frame("of a thawed page", func(f frame) bool { return f.Seq > frozen.Seq && f.Frz == 0 })
	g.unbroken(first.PV)
}

func TestActAfterIdlenessIsTold(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	b.until("performance.now() > 5300")
	b.do("move the mouse", chromedp.MouseClickXY(400, 400))
	f := g.frame("of the return", func(f frame) bool { return f.Resume == 1 })
	if f.Act > f.CT || f.Act < f.CT-50 || f.Act <= 5000 || first.Act != 0 {
		t.Errorf("act %d at ct %d, first %d", f.Act, f.CT, first.Act)
	}
	// The next acts are part of the frames to come, and need none of their own.
	b.run(`dispatchEvent(new Event('scroll'))`)
	g.mu.Lock()
	defer g.mu.Unlock()
	resumes := map[int]bool{}
	for _, f := range g.frames() {
		if f.Resume == 1 {
			resumes[f.Seq] = true
		}
	}
	if len(resumes) != 1 {
		t.Errorf("frames %v are returns, want one", resumes)
	}
}

func TestUnacknowledgedFramesGoAgain(t *testing.T) {
	g := newGateway(t)
	g.markup = banner
	down := true
	g.status = func(c *call) int {
		if down && c.path == "frames" {
			return 503
		}
		return 200
	}
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	first := g.frame("refused", func(f frame) bool { return f.Seq == 0 })
	for i := range 80 {
		b.run(fmt.Sprintf(`document.querySelector('#b').dataset.dwellFill='g%d'`, i))
		b.run(`dispatchEvent(new Event('resize'))`) // each fill is a frame of its own
	}
	g.note(func() { down = false })
	b.run(`dispatchEvent(new Event('online'))`)
	// The page keeps the last 50 that nobody has acknowledged; one or two may go with a refused request.
	arrived := func() (top int, got map[int]bool) {
		got = map[int]bool{}
		for _, f := range g.frames() {
			if f.PV == first.PV && f.call.status == 200 {
				got[f.Seq] = true
				top = max(top, f.Seq)
			}
		}
		return top, got
	}
	g.await("the last 48 frames, acknowledged", func() bool {
		top, got := arrived()
		for s := top; s > top-48; s-- {
			if !got[s] {
				return false
			}
		}
		return top >= 75
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	if top, got := arrived(); len(got) > 52 {
		t.Errorf("%d frames up to %d arrived, want the last 50 or so", len(got), top)
	}
}

func TestPageViewEndsWithAFrame(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	b.open("about:blank")
	end := g.frame("of the end", func(f frame) bool { return f.PV == first.PV && f.End == 1 })
	frames := g.unbroken(first.PV)
	if frames[len(frames)-1].Seq != end.Seq {
		t.Errorf("frame %d came after the end %d", len(frames)-1, end.Seq)
	}
}

func TestPageFromTheCacheBeginsAnotherView(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	g.await("a push channel", func() bool { return g.socket != nil })
	b.run(`(window.mark=1,addEventListener('pageshow',e=>window.persisted=e.persisted))`)
	b.open(g.URL + "/favicon.svg")
	g.frame("of the end", func(f frame) bool { return f.PV == first.PV && f.End == 1 })
	g.await("the end of the channel", func() bool { return g.socket == nil })
	b.run("history.back()") // chromedp's own way back waits for a load, and a kept page has none
	again := g.frame("of another view", func(f frame) bool { return f.PV != first.PV && f.Seq == 0 })
	if s := again.Slots["banner"]; s.O != 0 || s.In != 75000 {
		t.Errorf("slots %+v", again.Slots)
	}
	if !eval[bool](b, "window.mark === 1 && window.persisted === true") {
		t.Fatal("the browser did not keep the page: the tag or the test blocks the back/forward cache")
	}
	g.await("another push channel", func() bool { return g.socket != nil && len(g.asked) == 2 })
}

func TestFramesFollowTheUser(t *testing.T) {
	g, b, first := bannerPage(t, banner)
	b.run(`dwell('identify','ann')`)
	g.frame("of the end", func(f frame) bool { return f.PV == first.PV && f.End == 1 })
	next := g.frame("of ann", func(f frame) bool { return f.UID == "ann" })
	if next.PV == first.PV || next.Seq != 0 || next.call.User != "ann" || next.call.Anonymous != "" {
		t.Errorf("ann's first frame %+v in %+v", next, next.call)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.frames() {
		if f.UID != f.call.User+f.call.Anonymous {
			t.Errorf("a frame of %s was sent for %s", f.UID, f.call.User+f.call.Anonymous)
		}
	}
}

func TestVideoIsTold(t *testing.T) {
	g, b, _ := bannerPage(t, `<div data-dwell-slot="v" style="width:100px;height:100px"><video></video></div>`)
	g.mu.Lock()
	raw := string(g.calls[len(g.calls)-1].Frames[0])
	g.mu.Unlock()
	if want := `"vid":1,"play":0,"mt":0`; !strings.Contains(raw, want) {
		t.Errorf("no %s in %s", want, raw)
	}
	b.unharmed()
}
