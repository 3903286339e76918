package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dwellhq/dwell/internal/browser"
	"github.com/dwellhq/dwell/schemas"
)

// popupShown says whether the demo page shows a popup.
const popupShown = `(() => { const h = document.querySelector('#dwell-popup'); return !!(h && h.shadowRoot && h.shadowRoot.querySelector('[role=dialog]')); })()`

// page is the demo page in a real Chromium.
type page struct {
	*browser.Tab
	t *testing.T
}

func open(t *testing.T, url string) page {
	t.Helper()
	path, err := browser.Find("")
	if err != nil {
		t.Skipf("what users see is NOT tested: %v", err)
	}
	tab, stop, err := browser.Open(context.Background(), path, 1100, 1000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	p := page{tab, t}
	p.do("open the page", chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#win")))
	return p
}

func (p page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := p.Do(what, steps...); err != nil {
		p.t.Fatal(err)
	}
}

func eval[T any](p page, js string) T {
	p.t.Helper()
	v, err := browser.Eval[T](p.Tab, js)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// press clicks a button and waits until the server has answered.
func (p page) press(id string) {
	p.t.Helper()
	before := eval[int](p, answers)
	p.do("click "+id, chromedp.Click(chromedp.CSS(id)))
	waitFor(p.t, func() bool { return eval[int](p, answers) > before }, func() string { return "no answer to " + id })
}

// answers counts the good answers in the page's log.
const answers = `document.querySelectorAll('#log .good').length`

// screenshot keeps a picture of the page in the folder artifacts.
func (p page) screenshot(name string) {
	p.t.Helper()
	png, err := p.Picture()
	if err != nil {
		p.t.Fatal(err)
	}
	dir := filepath.Join("..", "artifacts")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// visitor is who is on the page, as tables name it.
func (p page) visitor() string { return schemas.AnonymousUser(p.anonymousID()) }

func (p page) anonymousID() string {
	p.t.Helper()
	return eval[string](p, `dwell('user').then(u => u.anonymousId)`)
}

func TestThreeWinsBringAPopupAndALossInBetweenDoesNot(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	p := open(t, s.url("/"))
	user := p.visitor()
	verdicts := func(v string) string {
		return fmt.Sprintf("SELECT uniqExact(id) FROM verdicts WHERE tenant='demo' AND user='%s' AND verdict='%s'", user, v)
	}
	for _, id := range []string{"#win", "#win", "#lose", "#win", "#win"} {
		p.press(id)
	}
	// All five are decided once they are facts: then no popup can still be on its way from them.
	s.eventually(fmt.Sprintf("SELECT count() FROM events WHERE tenant='demo' AND user='%s' AND event='bet_settled'", user), "5")
	if eval[bool](p, popupShown) {
		t.Fatal("a popup appeared although a loss lay between the wins")
	}
	s.same("verdicts after a loss", s.query(verdicts("SENT")), []string{"0"})

	p.press("#win")
	waitFor(t, func() bool { return eval[bool](p, popupShown) }, func() string { return "no popup after three wins" })
	p.screenshot("popup")
	s.eventually(verdicts("SENT"), "1")
	s.eventually(verdicts("SEEN"), "1")
}

func TestFiveSecondsInViewAreInTheLedger(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	p := open(t, s.url("/"))
	user := p.visitor()
	p.do("scroll to the slot", chromedp.ScrollIntoView(chromedp.CSS("#slot")))
	began := time.Now()
	sql := fmt.Sprintf("SELECT sum(s) FROM (SELECT sec_to - sec_from AS s FROM exposure_ledger FINAL WHERE tenant='demo' AND user='%s' AND slot='demo-banner')", user)
	var seconds string
	waitFor(t, func() bool {
		rows, err := s.try(sql)
		if err != nil || len(rows) != 1 {
			return false
		}
		seconds = rows[0]
		return len(seconds) > 1 || seconds >= "5"
	}, func() string { return "five seconds do not reach the ledger; it has " + seconds })
	// A ledger can lag behind the truth, never lead it.
	var most int
	if _, err := fmt.Sscan(seconds, &most); err != nil || most > int(time.Since(began).Seconds()) {
		t.Errorf("the ledger has %s s after %v in view", seconds, time.Since(began))
	}
	p.screenshot("exposure")
	resp, err := http.Get(s.url("/demo/exposure?anonymous_id=" + p.anonymousID()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Content-Type"), "json") {
		t.Errorf("GET /demo/exposure: %s", resp.Status)
	}
}
