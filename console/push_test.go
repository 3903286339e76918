package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// popup is the envelope of an action; more are further fields of the action.
func popup(envelope, action, more string) string {
	return fmt.Sprintf(`{"id":%q,"cmd":"popup","action":{"id":%q,"campaign":"hot-streak","content":"popup/boost50","slot":"page_popup",%s
		"payload":{"title":"On fire!","body":"Three wins in a row.","button":"Take it","link":"#taken"}}}`, envelope, action, more)
}

const dialogs = "document.querySelector('#dwell-popup').shadowRoot.querySelectorAll('[role=dialog]')"

// pushPage opens a page whose push channel is up.
func pushPage(t *testing.T) (*gateway, *tab) {
	t.Helper()
	g := newGateway(t)
	g.markup = `<button id="before" autofocus>before</button><input id="typing">`
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	g.await("a push channel", func() bool { return g.socket != nil })
	return g, b
}

func TestPopupAppearsIsSeenAndIsNotShownTwice(t *testing.T) {
	g, b := pushPage(t)
	if q := g.asked[0]; q.Get("key") != "k1" || len(q.Get("anonymous_id")) != 32 || q.Has("token") {
		t.Errorf("the channel was asked for with %v", q)
	}
	g.tell(popup("m1", "a1", ""))
	g.said(reply{"m1", "seen", "a1"})
	got := eval[map[string]string](b, `(()=>{const d=`+dialogs+`[0],g=d.querySelector('.go');return {n:String(`+dialogs+`.length),label:d.getAttribute('aria-label'),
		title:d.querySelector('h2').textContent,body:d.querySelector('p').textContent,go:g.textContent,href:g.getAttribute('href'),focus:String(d.getRootNode().activeElement==d)}})()`)
	for field, want := range map[string]string{
		"n": "1", "label": "On fire!", "title": "On fire!", "body": "Three wins in a row.", "go": "Take it", "href": g.URL + "/page#taken", "focus": "true",
	} {
		if got[field] != want {
			t.Errorf("the popup's %s is %q, want %q", field, got[field], want)
		}
	}
	g.tell(popup("m2", "a1", ""))
	g.said(reply{"m2", "duplicate", "a1"})
	b.click(".close")
	g.said(reply{"m1", "dismissed", "a1"})
	// Nor after it was closed, nor on the next page.
	g.tell(popup("m3", "a1", ""))
	g.said(reply{"m3", "duplicate", "a1"})
	g.hangUp()
	b.open(g.URL + "/page")
	b.ready()
	g.await("the next page's channel", func() bool { return len(g.asked) > 1 && g.socket != nil })
	g.tell(popup("m4", "a1", ""))
	g.said(reply{"m4", "duplicate", "a1"})
	if b2 := eval[bool](b, `!!document.querySelector('#dwell-popup [role=dialog]') || !!document.querySelector('#dwell-popup')`); b2 {
		t.Error("the next page shows it again")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.replies); n != 5 {
		t.Errorf("%d replies, want 5: %+v", n, g.replies)
	}
}

func TestClickGoesBackAndFollowsTheLink(t *testing.T) {
	g, b := pushPage(t)
	g.tell(popup("m1", "a1", ""))
	b.until("document.querySelector('#dwell-popup')")
	b.click(".go")
	g.said(reply{"m1", "clicked", "a1"})
	b.until("location.hash == '#taken' && " + dialogs + ".length == 0")
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.replies) != 2 || g.replies[0].Status != "seen" {
		t.Errorf("replies %+v, want seen, clicked", g.replies)
	}
}

func TestEscapeClosesAndFocusReturns(t *testing.T) {
	g, b := pushPage(t)
	b.run(`document.querySelector('#before').focus()`)
	g.tell(popup("m1", "a1", ""))
	g.said(reply{"m1", "seen", "a1"})
	b.do("press Escape", chromedp.KeyEvent(kb.Escape))
	g.said(reply{"m1", "dismissed", "a1"})
	b.until("document.activeElement.id == 'before'")
	// Who is typing is left alone, and goes on typing.
	b.run(`document.querySelector('#typing').focus()`)
	g.tell(popup("m2", "a2", ""))
	g.said(reply{"m2", "seen", "a2"})
	if on := eval[string](b, "document.activeElement.id"); on != "typing" {
		t.Errorf("the focus is on %q, want typing", on)
	}
}

func TestOnePopupAtATimePerSlot(t *testing.T) {
	g, b := pushPage(t)
	g.tell(popup("m1", "a1", ""))
	g.tell(popup("m2", "a2", ""))
	g.tell(popup("m2b", "a2", ""))
	g.tell(`{"id":"m3","cmd":"popup","action":{"id":"a3","slot":"corner","payload":{"body":"another slot"}}}`)
	g.said(reply{"m1", "seen", "a1"})
	g.said(reply{"m3", "seen", "a3"})
	g.said(reply{"m2b", "duplicate", "a2"})
	if n := eval[int](b, dialogs+".length"); n != 2 {
		t.Errorf("%d popups, want one of each slot", n)
	}
	b.click(".close")
	g.said(reply{"m1", "dismissed", "a1"})
	g.said(reply{"m2", "seen", "a2"})
}

func TestContentIsTextAndLinksAreSafe(t *testing.T) {
	g, b := pushPage(t)
	for i, link := range []string{"javascript:errors.push(1)", "data:text/html,x", " JavaScript:errors.push(1)", "vbscript:x", "http://"} {
		id := fmt.Sprint("a", i)
		g.tell(fmt.Sprintf(`{"id":"m","cmd":"popup","action":{"id":%q,"payload":{"title":"<img src=x onerror=errors.push(2)>","body":"<b>bold</b>","button":"go","link":%q}}}`, id, link))
		g.said(reply{"m", "seen", id})
		if got := eval[string](b, dialogs+"[0].querySelector('.go').tagName+"+dialogs+"[0].querySelector('p').textContent+"+dialogs+"[0].querySelectorAll('img,b').length"); got != "BUTTON<b>bold</b>0" {
			t.Errorf("link %q: %s", link, got)
		}
		b.click(".go")
		g.said(reply{"m", "clicked", id})
	}
	for i, link := range []string{"https://example.com/x", "/bonus?a=1", "//example.com/"} {
		id := fmt.Sprint("b", i)
		g.tell(fmt.Sprintf(`{"id":"m","cmd":"popup","action":{"id":%q,"payload":{"title":"t","link":%q}}}`, id, link))
		g.said(reply{"m", "seen", id})
		if got := eval[string](b, dialogs+"[0].querySelector('a.go').href"); !strings.HasPrefix(got, "http") {
			t.Errorf("link %q became %q", link, got)
		}
		b.do("close it", chromedp.KeyEvent(kb.Escape))
		g.said(reply{"m", "dismissed", id})
	}
	b.unharmed()
}

func TestExpiryIsByTheServersClock(t *testing.T) {
	g := newGateway(t)
	b := newTab(t, 800, 600)
	// A device whose clock is a day ahead believes that everything has expired.
	b.before(`{const real = Date.now; Date.now = () => real() + 864e5}`)
	b.open(g.URL + "/page")
	b.ready()
	g.await("a push channel", func() bool { return g.socket != nil })
	now := time.Now().UnixMilli()
	// The page's idea of that clock lags by the way of the welcome, so the past is well past.
	g.tell(popup("m1", "a1", fmt.Sprintf(`"expires_ms":%d,`, now-30_000)))
	g.said(reply{"m1", "expired", "a1"})
	g.tell(popup("m2", "a2", fmt.Sprintf(`"expires_ms":%d,`, now+60_000)))
	g.said(reply{"m2", "seen", "a2"})
	// One that waits for its slot expires there.
	g.tell(popup("m3", "a3", fmt.Sprintf(`"expires_ms":%d,`, time.Now().UnixMilli()+150)))
	g.said(reply{"m3", "expired", "a3"})
	if n := eval[int](b, dialogs+".length"); n != 1 {
		t.Errorf("%d popups, want the one that was seen in time", n)
	}
}

func TestPopupWaitsForTheUsersEyes(t *testing.T) {
	g, b := pushPage(t)
	b.cover()
	b.until("document.visibilityState == 'hidden'")
	g.tell(popup("m1", "a1", ""))
	g.tell(popup("m2", "a2", fmt.Sprintf(`"slot":"other","expires_ms":%d,`, time.Now().UnixMilli()+200)))
	g.said(reply{"m2", "expired", "a2"})
	if eval[bool](b, "!!document.querySelector('#dwell-popup')") {
		t.Error("a popup is in a page that nobody sees")
	}
	b.front()
	g.said(reply{"m1", "seen", "a1"})
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.replies) != 2 {
		t.Errorf("replies %+v", g.replies)
	}
}

func TestPopupHiddenByThePageIsNotSeen(t *testing.T) {
	g, b := pushPage(t)
	b.run(`document.head.appendChild(document.createElement('style')).textContent='#dwell-popup{display:none!important}'`)
	g.tell(popup("m1", "a1", fmt.Sprintf(`"expires_ms":%d,`, time.Now().UnixMilli()+1500)))
	g.said(reply{"m1", "expired", "a1"})
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.replies) != 1 {
		t.Errorf("replies %+v, want expired alone", g.replies)
	}
}

func TestChannelComesBackAndRepliesGoOutThen(t *testing.T) {
	g, b := pushPage(t)
	g.tell(popup("m1", "a1", ""))
	g.said(reply{"m1", "seen", "a1"})
	// The server goes, for a while that it names; what happens meanwhile is told afterwards.
	g.tell(`{"cmd":"close","retry_ms":700}`)
	g.await("the end of the channel", func() bool { return g.socket == nil })
	closed := time.Now()
	b.do("press Escape", chromedp.KeyEvent(kb.Escape))
	b.until(dialogs + ".length == 0")
	g.said(reply{"m1", "dismissed", "a1"})
	if d := time.Since(closed); d < 600*time.Millisecond {
		t.Errorf("connected again after %v, want 700 ms", d)
	}
	// A channel that breaks without a word comes back by itself, and so does one that fails to open.
	g.await("a second channel", func() bool { return g.socket != nil && len(g.asked) == 2 })
	g.hangUp()
	g.await("a third channel", func() bool { return g.socket != nil && len(g.asked) == 3 })
	b.unharmed()
}

func TestWaitingRepliesAreBounded(t *testing.T) {
	g, b := pushPage(t)
	for i := range 60 {
		g.tell(fmt.Sprintf(`{"id":"m%d","cmd":"popup","action":{"id":"a%d","slot":"s%d","payload":{"title":"t"}}}`, i, i, i%50))
		if i < 50 {
			g.said(reply{fmt.Sprint("m", i), "seen", fmt.Sprint("a", i)})
		}
	}
	g.note(func() { g.replies = nil })
	g.tell(`{"cmd":"close","retry_ms":1500}`)
	g.await("the end of the channel", func() bool { return g.socket == nil })
	b.run(`(()=>{for(let i=0;i<60;i++)document.dispatchEvent(new KeyboardEvent('keydown',{key:'Escape'}))})()`)
	g.await("the replies", func() bool { return len(g.replies) >= 50 })
	eval[any](b, `dwell('track','after')`) // what was to come has come before this
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.replies) != 50 {
		t.Errorf("%d replies, want the last 50", len(g.replies))
	}
}

func TestTokenNamesTheUser(t *testing.T) {
	g := newGateway(t)
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page?token=t%2B1")
	b.ready()
	g.await("a push channel", func() bool { return g.socket != nil })
	b.run(`dwell('token','t2')`)
	g.await("a channel for the other token", func() bool { return len(g.asked) == 2 })
	g.mu.Lock()
	defer g.mu.Unlock()
	if a, z := g.asked[0], g.asked[1]; a.Get("token") != "t+1" || a.Has("anonymous_id") || z.Get("token") != "t2" {
		t.Errorf("asked with %v", g.asked)
	}
}

func TestNonsenseOnTheChannelHarmsNothing(t *testing.T) {
	g, b := pushPage(t)
	for _, bad := range []string{`{`, `null`, `7`, `{"cmd":"popup"}`, `{"cmd":"popup","action":{}}`, `{"cmd":"probe","id":"x"}`, `{"cmd":"welcome","t":"soon"}`} {
		g.tell(bad)
	}
	g.tell(`{"id":"m1","cmd":"popup","action":{"id":"a1","payload":null}}`)
	g.said(reply{"m1", "seen", "a1"})
	b.unharmed()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.replies) != 1 || len(g.asked) != 1 {
		t.Errorf("replies %+v, channels %d", g.replies, len(g.asked))
	}
	if slices.Contains(g.replies, reply{}) {
		t.Error("an empty reply")
	}
}
