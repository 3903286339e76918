// Package browser drives a real Chromium, for tests and for dwell bench: steps in, what a page shows
// out. The browser looks nowhere but at the pages it is told to open.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// ErrNone says that no Chromium was found.
var ErrNone = errors.New("no chromium, chromium-browser or google-chrome in PATH; install one (Debian: sudo apt-get install chromium)")

// Limit is how long one step may take.
const Limit = time.Minute

// Find returns path, or the first Chromium in PATH when it is empty.
func Find(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNone
}

// Tab is one tab of a browser of its own. It belongs to one goroutine.
type Tab struct{ ctx context.Context } //nolint:containedctx // chromedp's handle of a tab is a context

// Open starts a browser with one tab in front, of a size in pixels. The browser ends when ctx ends or
// stop is called, which waits for it.
func Open(ctx context.Context, path string, width, height int) (tab *Tab, stop func(), err error) {
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.WindowSize(width, height), chromedp.Flag("headless", "new"),
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("mute-audio", true), chromedp.Flag("hide-scrollbars", true),
	}
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium's sandbox does not run as root
	}
	actx, end := chromedp.NewExecAllocator(ctx, opts...)
	tctx, cancel := chromedp.NewContext(actx)
	stop = func() { cancel(); end() }
	t := &Tab{tctx}
	// The first call has no deadline: that would end the browser later.
	if err := chromedp.Do(tctx); err != nil {
		stop()
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	if err := errors.Join(t.Do("set the viewport", chromedp.EmulateViewport(int64(width), int64(height))), t.front()); err != nil {
		stop()
		return nil, nil, err
	}
	return t, stop, nil
}

// front gives the tab the user's eyes and keyboard.
func (t *Tab) front() error {
	if _, err := chromedp.Call(t.ctx, page.BringToFront, cdp.Empty{}); err != nil {
		return fmt.Errorf("bring the tab to the front: %w", err)
	}
	return nil
}

// Do runs steps within Limit.
func (t *Tab) Do(what string, steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.ctx, Limit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Eval returns the value of an expression within Limit; a promise is waited for.
func Eval[T any](t *Tab, script string) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, Limit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		return v, fmt.Errorf("%.80s: %w", script, err)
	}
	return v, nil
}

// Picture is a PNG of what the tab shows.
func (t *Tab) Picture() ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.ctx, Limit)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return nil, fmt.Errorf("take a picture: %w", err)
	}
	return png, nil
}
