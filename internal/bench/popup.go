// Package bench measures dwell from outside, as its users see it.
package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/internal/browser"
)

// Popup measures, in a real browser on the demo page, how long it takes from the event that completes
// a campaign to the popup on the screen.
type Popup struct {
	// URL of the pages and the API.
	URL string
	// Key is the write key of the background load.
	Key string
	// Rate is the background load in events per second; zero means none.
	Rate int
	// N is the number of popups, after three that are not counted.
	N int
	// Browser is the path of a Chromium; empty: the first in PATH.
	Browser string
}

// Times are what was measured, milliseconds, sorted.
type Times struct {
	// Answer is event to answer: the log has it. Popup is event to popup in the page.
	Answer, Popup []float64
	// Sent background events and the seconds they took.
	Sent    int64
	Seconds float64
}

// Quantile of sorted values; q within 0 to 1.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// warmups are popups before the counted ones: first requests of page, connection and campaign.
const warmups = 3

// Run measures while the background load runs.
func (p Popup) Run(ctx context.Context) (Times, error) {
	path, err := browser.Find(p.Browser)
	if err != nil {
		return Times{}, err
	}
	if err := p.reachable(ctx); err != nil {
		return Times{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out Times
	l := &load{url: p.URL + "/v1/batch", key: p.Key, rate: p.Rate}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.run(gctx) })
	g.Go(func() (err error) {
		defer cancel()
		out, err = p.measure(gctx, path)
		return err
	})
	err = g.Wait()
	out.Sent, out.Seconds = l.sent.Load(), l.elapsed.Seconds()
	return out, err
}

func (p Popup) reachable(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/", nil)
	if err != nil {
		return fmt.Errorf("reach %s: %w", p.URL, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no dwell answers at %s; start one with `make run`: %w", p.URL, err)
	}
	return resp.Body.Close()
}

// winThrice sends two wins, then takes the time from the third to its answer and to the popup, and
// closes the popup. A popup counts once it was painted: a task that is posted in the frame that
// shows it runs after that frame's paint.
const winThrice = `(async () => {
  const shown = () => { const h = document.querySelector('#dwell-popup'); return h && h.shadowRoot && h.shadowRoot.querySelector('[role=dialog]'); };
  const tick = () => new Promise((r) => { const c = new MessageChannel(); c.port1.onmessage = r; c.port2.postMessage(0); });
  const painted = async () => { await new Promise(requestAnimationFrame); await tick(); };
  const win = () => dwell('track', 'bet_settled', {result: 'win', amount: 10});
  await win(); await win();
  const began = performance.now();
  let answer = 0;
  win().then(() => { answer = performance.now() - began; });
  const late = (ms, what) => { if (performance.now() - began > ms) throw new Error(what); };
  while (!shown()) { await new Promise((r) => setTimeout(r, 1)); late(20000, 'no popup within 20 s'); }
  await painted();
  const popup = performance.now() - began;
  while (!answer) await painted();
  shown().dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true, composed: true}));
  while (shown()) { await painted(); late(30000, 'the popup does not close'); }
  return [answer, popup];
})()`

func (p Popup) measure(ctx context.Context, path string) (Times, error) {
	tab, stop, err := browser.Open(ctx, path, 1100, 1000)
	if err != nil {
		return Times{}, err
	}
	defer stop()
	if err := tab.Do("open "+p.URL, chromedp.Navigate(p.URL+"/"), chromedp.WaitVisible(chromedp.CSS("#win"))); err != nil {
		return Times{}, err
	}
	var t Times
	for i := range warmups + p.N {
		ms, err := browser.Eval[[]float64](tab, winThrice)
		if err != nil {
			return t, fmt.Errorf("popup %d of %d: %w", i+1, warmups+p.N, err)
		}
		if i >= warmups {
			t.Answer, t.Popup = append(t.Answer, ms[0]), append(t.Popup, ms[1])
		}
		if err := rest(ctx, i); err != nil {
			return t, err
		}
	}
	slices.Sort(t.Answer)
	slices.Sort(t.Popup)
	return t, nil
}

// rest keeps the popups from marching in step with the core's transactions.
func rest(ctx context.Context, i int) error {
	select {
	case <-time.After(time.Duration(50+i*37%50) * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
