package console

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// demoGateway decides as the demo's campaign does: three wins without a loss.
func demoGateway(t *testing.T) *gateway {
	t.Helper()
	g := newGateway(t)
	g.demo = true
	wins, shown := 0, 0
	g.onTrack = func(c *call) {
		if c.Properties["result"] != "win" {
			wins = 0
			return
		}
		if wins++; wins%3 == 0 {
			shown++
			g.tell(fmt.Sprintf(`{"id":"m%d","cmd":"popup","action":{"id":"a%d","campaign":"hot-streak","slot":"page_popup",
				"payload":{"title":"You are on fire!","body":"Three wins in a row. Your next bet gets a 50 %% boost.","button":"Boost my next bet"}}}`, shown, shown))
		}
	}
	return g
}

func TestDemoShowsThePopupAfterThreeWins(t *testing.T) {
	g := demoGateway(t)
	b := newTab(t, 1280, 900)
	b.before(`window.errors=[];addEventListener('error',e=>errors.push(e.message));addEventListener('unhandledrejection',e=>errors.push(String(e.reason)));
		addEventListener('securitypolicyviolation',e=>errors.push('policy: '+e.violatedDirective+' '+e.blockedURI))`)
	b.open(g.URL + "/")
	b.ready()
	g.await("a push channel", func() bool { return g.socket != nil })
	press := func(id string, wins int) {
		t.Helper()
		b.do("press "+id, chromedp.Click(chromedp.CSS("#"+id)))
		b.until(fmt.Sprintf("document.querySelector('#wins').textContent == '%d'", wins))
	}
	press("win", 1)
	press("win", 2)
	press("lose", 0)
	press("win", 1)
	press("win", 2)
	if eval[bool](b, "!!document.querySelector('#dwell-popup')") {
		t.Error("a popup before the third win")
	}
	press("win", 3)
	g.said(reply{"m1", "seen", "a1"})
	b.until("document.querySelectorAll('#log .answer.good').length == 6 && document.querySelectorAll('#log .show').length == 1")
	log := eval[string](b, "document.querySelector('#log').innerText")
	for _, want := range []string{`track bet_settled {"result":"win"`, `track bet_settled {"result":"loss"`, `200 {"success":true,"durability":"kafka"`, "You are on fire!", "ms after the click"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the log:\n%s", want, log)
		}
	}
	b.until("document.querySelector('#exposure').textContent == 'server says: 7 billable seconds seen'")
	f := g.frame("of the banner", func(f frame) bool { return f.Slots["demo-banner"].In == 75000 })
	if s := f.Slots["demo-banner"]; s != (slot{s.O, "banner-1", "demo", "", "home-top", 75000, 75000}) {
		t.Errorf("the banner is %+v", s)
	}
	if c := g.events()[0]; c.WriteKey != "demo" || c.Type != "page" {
		t.Errorf("the first event is %+v", c)
	}
	shoot(b, "popup")
	b.click(".go")
	g.said(reply{"m1", "clicked", "a1"})
	b.unharmed()
	shoot(b, "demo")
}

func TestDemoFitsAPhoneAndWorksWithoutTheExposureEndpoint(t *testing.T) {
	g := demoGateway(t)
	g.demo = false
	b := newTab(t, 360, 740)
	b.open(g.URL + "/")
	b.ready()
	b.run("poll()")
	if w := eval[int](b, "document.documentElement.scrollWidth"); w > 360 {
		t.Errorf("the page is %d px wide on a screen of 360", w)
	}
	for range 3 {
		b.do("win", chromedp.Click(chromedp.CSS("#win")))
	}
	g.said(reply{"m1", "seen", "a1"})
	if !eval[bool](b, "poll().then(()=>document.querySelector('#exposure').hidden)") {
		t.Error("the server's line is shown though the server has none")
	}
	shoot(b, "phone")
}

// shoot leaves a picture of what the tab shows in DWELL_SCREENSHOTS, if that names a folder.
func shoot(b *tab, name string) {
	b.t.Helper()
	dir := os.Getenv("DWELL_SCREENSHOTS")
	if dir == "" {
		return
	}
	b.run("Promise.all([...document.querySelectorAll('*'), ...(document.querySelector('#dwell-popup')?.shadowRoot.querySelectorAll('*') || [])].flatMap(e => e.getAnimations().map(a => a.finish())))")
	for _, full := range []bool{false, true} {
		shot, suffix := chromedp.CaptureScreenshot(), ""
		if full {
			shot, suffix = chromedp.FullScreenshot(100), "-full"
		}
		png, err := chromedp.Run(b, shot)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+suffix+".png"), png, 0o600)
		}
		if err != nil {
			b.t.Fatalf("picture %s: %v", name, err)
		}
	}
}
