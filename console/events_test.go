package console

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"
)

func TestEventGoesOutAndAgainAfter503(t *testing.T) {
	g := newGateway(t)
	refusals := 0
	g.status = func(c *call) int {
		if c.path == "track" && refusals < 2 {
			refusals++
			return 503
		}
		return 200
	}
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	answer := eval[map[string]any](b, `dwell('track', 'bet_settled', {result: 'win', amount: 12.5})`)
	if answer["success"] != true || answer["status"] != 200.0 || answer["durability"] != "kafka" {
		t.Errorf("the promise gave %v", answer)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.calls) != 3 {
		t.Fatalf("want three calls: %s", brief(g.calls))
	}
	for _, c := range g.calls {
		if c.path != "track" || c.Event != "bet_settled" || c.WriteKey != "k1" || c.kind != "text/plain;charset=UTF-8" {
			t.Errorf("call %+v", c)
		}
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(c.MessageID) || c.MessageID != g.calls[0].MessageID {
			t.Errorf("messageId %q after %q, want one 128-bit id", c.MessageID, g.calls[0].MessageID)
		}
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(c.Anonymous) || c.User != "" {
			t.Errorf("anonymousId %q, userId %q", c.Anonymous, c.User)
		}
		if at, err := time.Parse(time.RFC3339, c.Timestamp); err != nil || time.Since(at).Abs() > time.Minute || c.Timestamp != g.calls[0].Timestamp {
			t.Errorf("timestamp %q: %v", c.Timestamp, err)
		}
		if c.Properties["result"] != "win" || c.Properties["amount"] != 12.5 {
			t.Errorf("properties %v", c.Properties)
		}
	}
	if g.calls[2].at.Sub(g.calls[0].at) < time.Millisecond {
		t.Error("no pause between the retries")
	}
}

func TestRefusedEventIsDroppedAndTheNextGoesOut(t *testing.T) {
	g := newGateway(t)
	g.status = func(c *call) int {
		if c.Event == "bad" {
			return 400
		}
		return 200
	}
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	answers := eval[[]map[string]any](b, `Promise.all([dwell('track','bad').then(async a=>[a, await dwell('track','good')])]).then(x=>x[0])`)
	if answers[0]["success"] != false || answers[0]["status"] != 400.0 || answers[0]["error"] != "not now" || answers[1]["success"] != true {
		t.Errorf("answers %v", answers)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.calls) != 2 {
		t.Errorf("want each event once: %s", brief(g.calls))
	}
	b.unharmed()
}

func TestCallsBeforeTheLoadKeepTheirOrder(t *testing.T) {
	g := newGateway(t)
	g.markup = `<script>dwell('identify','ann',{plan:'gold'});dwell('page',{section:'home'});dwell('track','first');dwell('track','second')</script>`
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	g.await("four events", func() bool { return len(g.events()) == 4 })
	g.mu.Lock()
	got := g.events()
	g.mu.Unlock()
	for i, want := range []string{"identify ", "page ", "track first", "track second"} {
		if e := got[i]; e.Type+" "+e.Event != want || e.User != "ann" || e.Anonymous != got[0].Anonymous || e.Anonymous == "" {
			t.Errorf("event %d is %s %s by user %q %q, want %s", i, e.Type, e.Event, e.User, e.Anonymous, want)
		}
	}
	if got[0].Traits["plan"] != "gold" || got[1].Properties["section"] != "home" {
		t.Errorf("traits %v, properties %v", got[0].Traits, got[1].Properties)
	}
	// Who it is outlives the page, until it is reset.
	b.open(g.URL + "/page")
	b.ready()
	if u := eval[map[string]string](b, `dwell('user')`); u["userId"] != "ann" || u["anonymousId"] != got[0].Anonymous {
		t.Errorf("on the next page the user is %v", u)
	}
	if a := eval[map[string]any](b, `dwell('identify',{plan:'silver'})`); a["success"] != true {
		t.Errorf("answer %v", a)
	}
	g.mu.Lock()
	all := g.events()
	g.mu.Unlock()
	if last := all[len(all)-1]; last.User != "ann" || last.Traits["plan"] != "silver" {
		t.Errorf("traits alone gave user %q with %v", last.User, last.Traits)
	}
	b.run(`dwell('reset')`)
	if u := eval[map[string]string](b, `dwell('user')`); u["userId"] != "" || u["anonymousId"] == got[0].Anonymous || len(u["anonymousId"]) != 32 {
		t.Errorf("after the reset the user is %v", u)
	}
}

func TestEventsOfAnOfflinePageArriveLater(t *testing.T) {
	g := newGateway(t)
	up := false
	g.status = func(*call) int {
		if up {
			return 200
		}
		return 503
	}
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	b.run(`(()=>{for(let i=0;i<130;i++)dwell('track','e'+i)})()`)
	g.await("a first attempt", func() bool { return len(g.calls) > 0 })
	// Leaving the page hands the rest to the browser as a beacon, which is refused as well.
	b.open(g.URL + "/page")
	g.await("a beacon", func() bool {
		return slices.ContainsFunc(g.calls, func(c call) bool { return c.path == "batch" && len(c.Batch) > 1 })
	})
	g.note(func() { up = true })
	b.ready()
	b.run(`dispatchEvent(new Event('online'))`)
	g.await("the last event", func() bool {
		return slices.ContainsFunc(g.events(), func(e call) bool { return e.Event == "e129" })
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	ids, order := map[string]string{}, []string{}
	for _, e := range g.events() {
		if ids[e.MessageID] == "" {
			order = append(order, e.Event)
		}
		ids[e.MessageID] = e.Event
	}
	// 100 are kept. The first was in flight when the older ones had to go.
	if len(order) != 100 || order[0] != "e0" || order[1] != "e31" || order[99] != "e129" {
		t.Fatalf("%d events %v", len(order), order)
	}
	for i := 1; i < 100; i++ {
		if want := fmt.Sprintf("e%d", 30+i); order[i] != want {
			t.Errorf("event %d is %s, want %s", i, order[i], want)
		}
	}
	for _, c := range g.calls {
		if c.WriteKey != "k1" {
			t.Errorf("%s without its key", c.path)
		}
	}
}

func TestNothingIsKeptOnceAnswered(t *testing.T) {
	g := newGateway(t)
	b := newTab(t, 800, 600)
	b.open(g.URL + "/page")
	b.ready()
	eval[map[string]any](b, `dwell('track','a')`)
	if left := eval[[]string](b, `Object.keys(localStorage)`); !slices.Equal(left, []string{"dwell.user"}) {
		t.Errorf("localStorage holds %v", left)
	}
}

func TestPageIsNeverHarmed(t *testing.T) {
	for name, hostile := range map[string]string{
		"blocked storage":    `for (const s of ['localStorage','sessionStorage']) Object.defineProperty(window, s, {get() { throw new DOMException('blocked', 'SecurityError') }})`,
		"full storage":       `Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }`,
		"forbidden socket":   `window.WebSocket = function () { throw new DOMException('policy', 'SecurityError') }`,
		"garbage in storage": `localStorage.setItem('dwell.user', '{"x'); localStorage.setItem('dwell.outbox.1', '[7,null]'); localStorage.setItem('dwell.outbox.2', '{}'); sessionStorage.setItem('dwell.replies', '7'); sessionStorage.setItem('dwell.shown', '{}')`,
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			b := newTab(t, 800, 600)
			b.before(hostile)
			b.open(g.URL + "/page")
			b.ready()
			b.run(`(()=>{const o={};o.o=o;dwell('track','circle',o);dwell('nonsense');dwell();dwell('track');dwell('constructor');dwell('identify')})()`)
			if a := eval[map[string]any](b, `dwell('track','circle',(()=>{const o={};o.o=o;return o})())`); a["success"] != false {
				t.Errorf("a circle was sent: %v", a)
			}
			if a := eval[map[string]any](b, `dwell('track','still here')`); a["success"] != true {
				t.Errorf("answer %v", a)
			}
			b.unharmed()
		})
	}
}
