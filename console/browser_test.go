package console

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	browserpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// tab is one tab of a real browser.
type tab struct {
	context.Context
	t *testing.T
}

// newTab starts a browser of its own for the test, which ends with it.
func newTab(t *testing.T, w, h int, more ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	binary := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		t.Skip("no chromium, chromium-browser or google-chrome in PATH: the tag's behaviour in a browser is NOT tested; install chromium")
	}
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(binary), chromedp.WindowSize(w, h),
		chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("mute-audio", true), chromedp.Flag("hide-scrollbars", true),
	}, more...)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		cancel()
		stop() // waits for the browser to end
	})
	if err := chromedp.Do(ctx); err != nil { // has no deadline of its own: that would end the browser later
		t.Fatalf("start %s: %v", binary, err)
	}
	b := &tab{Context: ctx, t: t}
	b.do("set the viewport", chromedp.EmulateViewport(int64(w), int64(h)))
	b.front()
	return b
}

// do runs steps, or fails the test.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b, 2*patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// front gives the tab the user's eyes and keyboard.
func (b *tab) front() {
	b.t.Helper()
	if _, err := chromedp.Call(b, browserpage.BringToFront, cdp.Empty{}); err != nil {
		b.t.Fatalf("bring the tab to the front: %v", err)
	}
}

// cover puts another tab of the same window in front, which hides this one until front.
func (b *tab) cover() {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b, chromedp.WithNewWindow(false))
	b.t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		b.t.Fatalf("open another tab: %v", err)
	}
	(&tab{Context: ctx, t: b.t}).front()
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do("open "+url, chromedp.Navigate(url))
}

// before has every page of the tab run a script before its own.
func (b *tab) before(script string) {
	b.t.Helper()
	if _, err := chromedp.Call(b, browserpage.AddScriptToEvaluateOnNewDocument, browserpage.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		b.t.Fatalf("prepare pages: %v", err)
	}
}

// eval returns the value of an expression; a promise is waited for.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b, 2*patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// run evaluates a script for its effect.
func (b *tab) run(script string) {
	b.t.Helper()
	b.do(script, chromedp.Evaluate[chromedp.Void]("void("+script+")"))
}

// until waits for an expression of the page to be true.
func (b *tab) until(condition string) {
	b.t.Helper()
	b.do("wait for "+condition, chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience)))
}

// ready waits for the tag.
func (b *tab) ready() {
	b.t.Helper()
	b.until("window.dwell && dwell.on")
}

// unharmed fails the test if the page saw an error.
func (b *tab) unharmed() {
	b.t.Helper()
	if errors := eval[[]string](b, "window.errors"); len(errors) > 0 {
		b.t.Errorf("the page saw errors: %q", errors)
	}
}

// click clicks an element inside the popups' shadow root with the mouse, as a user does.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.until("document.querySelector('#dwell-popup').shadowRoot.querySelector(" + quote(selector) + ")")
	at := eval[struct{ X, Y float64 }](b, `(async()=>{const e=document.querySelector('#dwell-popup').shadowRoot.querySelector(`+quote(selector)+`);
		await Promise.all(e.closest('[role=dialog]').getAnimations().map(a=>a.finished));
		const r=e.getBoundingClientRect();return {X:r.x+r.width/2,Y:r.y+r.height/2}})()`)
	b.do("click "+selector, chromedp.MouseClickXY(at.X, at.Y))
}

func quote(s string) string { return "`" + s + "`" }
