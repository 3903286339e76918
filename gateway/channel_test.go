package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/dwellhq/dwell/gateway/push"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// page is a browser's end of a channel.
type page struct {
	t  *testing.T
	ws *websocket.Conn
}

// envelope is what a page hears.
type envelope struct {
	ID      string `json:"id"`
	Cmd     string `json:"cmd"`
	T       int64  `json:"t"`
	RetryMS int64  `json:"retry_ms"`
	Action  push.Action
}

func dial(r *rig, origin string, query ...string) (*websocket.Conn, *http.Response, error) {
	q := url.Values{}
	for i := 0; i < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	h := http.Header{}
	if origin != "" {
		h.Set("Origin", origin)
	}
	return websocket.DefaultDialer.Dial("ws://"+r.Addr()+"/v1/push?"+q.Encode(), h)
}

// open opens the channel and takes the welcome.
func open(r *rig, query ...string) *page {
	r.t.Helper()
	ws, _, err := dial(r, shop, query...)
	if err != nil {
		r.t.Fatal(err)
	}
	p := &page{r.t, ws}
	r.t.Cleanup(p.leave)
	if e := p.hear(); e.Cmd != "welcome" || e.T != r.clock.now().UnixMilli() {
		r.t.Fatalf("welcome: %+v", e)
	}
	return p
}

func (p *page) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// leave drops the connection, as a browser does that was closed.
func (p *page) leave() {
	if err := p.ws.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Error(err)
	}
}

func (p *page) hear() (e envelope) {
	p.t.Helper()
	p.must(p.ws.SetReadDeadline(time.Now().Add(10 * time.Second)))
	if err := p.ws.ReadJSON(&e); err != nil {
		p.t.Fatal(err)
	}
	return e
}

// end reads until the channel is closed and returns the last envelope and the code.
func (p *page) end() (last envelope, code int) {
	p.t.Helper()
	p.must(p.ws.SetReadDeadline(time.Now().Add(10 * time.Second)))
	for {
		_, b, err := p.ws.ReadMessage()
		if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
			return last, ce.Code
		}
		if err != nil {
			return last, 0
		}
		last = envelope{}
		if err := json.Unmarshal(b, &last); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *page) say(e envelope, status string) {
	p.t.Helper()
	if err := p.ws.WriteJSON(map[string]string{"reply": e.ID, "status": status, "action": e.Action.ID}); err != nil {
		p.t.Fatal(err)
	}
}

func nodeKey(r *http.Request) { r.Header.Set("Authorization", "Bearer "+server) }

// pushTo sends an action as an engager does.
func pushTo(r *rig, tenant, user, id, timeout string) reply {
	body := fmt.Sprintf(`{"tenant":%q,"user":%q,"action":{"id":%q,"campaign":"hot","content":"popup/boost","slot":"main","expires_ms":%d,"payload":{"title":"Win!"}},"match_id":"m1","version":"v1","variant":"A","channel":"popup"}`,
		tenant, user, id, r.clock.now().Add(time.Minute).UnixMilli())
	a, err := r.try("POST", "/internal/v1/push?timeout="+timeout, body, nodeKey)
	if err != nil {
		a.text = err.Error()
	}
	return a
}

func TestPushReachesTheBrowserAndItsReplyComesBack(t *testing.T) {
	r := newRig(t, fast())
	p := open(r, "key", pub, "anonymous_id", browser)
	answered := make(chan reply, 1)
	go func() { answered <- pushTo(r, "acme", visitor, "a1", "10s") }()
	e := p.hear()
	if e.Cmd != "popup" || e.ID == "" || e.Action.ID != "a1" || e.Action.Campaign != "hot" || e.Action.Content != "popup/boost" || e.Action.Slot != "main" || string(e.Action.Payload) != `{"title":"Win!"}` || e.Action.ExpiresMS == 0 {
		t.Fatalf("popup: %+v", e)
	}
	p.say(e, "seen")
	if a := <-answered; a.code != 200 || a.Status != "seen" {
		t.Fatalf("%d %s", a.code, a.text)
	}
	p.say(e, "seen") // says it again, as after a reconnect
	p.must(p.ws.WriteMessage(websocket.TextMessage, []byte("what?")))
	p.say(e, "danced")
	p.say(e, "clicked")
	p.say(envelope{ID: "x", Action: push.Action{ID: "old"}}, "dismissed")
	recs, all := read(r, topics.Deliveries, 3)
	for i, want := range []string{"a1 seen hot m1 v1 A popup", "a1 clicked hot m1 v1 A popup", "old dismissed     "} {
		d := all[i]
		if got := strings.Join([]string{d.ActionId, d.Status, d.Campaign, d.MatchId, d.Version, d.Variant, d.Channel}, " "); got != want || d.Tenant != "acme" || d.User != visitor || d.TimeMs != r.clock.now().UnixMilli() || string(recs[i].Key) != "acme/"+visitor {
			t.Errorf("delivery %d: %s, %v", i, got, d)
		}
	}
	if len(all) != 3 {
		t.Errorf("%d deliveries", len(all))
	}
	if a := pushTo(r, "acme", visitor, "a1", "10s"); a.code != 200 || a.Status != "seen" {
		t.Errorf("the same action again: %d %s", a.code, a.text)
	}
	if n := r.metric("dwell_push_seconds"); n != 1 {
		t.Errorf("pushes measured: %v", n)
	}
}

func TestPushWithoutReplyOrBrowser(t *testing.T) {
	r := newRig(t, fast())
	if a := pushTo(r, "acme", visitor, "a1", "1s"); a.code != 404 {
		t.Errorf("nobody is there: %d %s", a.code, a.text)
	}
	p := open(r, "key", pub, "anonymous_id", browser)
	if a := pushTo(r, "acme", visitor, "a1", "20ms"); a.code != 504 || a.Status != "pushed" {
		t.Errorf("no reply: %d %s", a.code, a.text)
	}
	if a := pushTo(r, "acme", visitor, "a2", "0s"); a.code != 200 || a.Status != "pushed" {
		t.Errorf("no waiting: %d %s", a.code, a.text)
	}
	if a := pushTo(r, "rival", visitor, "a1", "1s"); a.code != 404 {
		t.Errorf("the same id in another tenant: %d %s", a.code, a.text)
	}
	p.say(p.hear(), "seen") // late
	if _, all := read(r, topics.Deliveries, 1); all[0].Campaign != "hot" {
		t.Errorf("late reply: %v", all[0])
	}
	answered := make(chan reply, 1)
	go func() { answered <- pushTo(r, "acme", visitor, "a3", "10s") }()
	p.hear()
	p.hear()
	p.leave()
	if a := <-answered; a.code != 404 {
		t.Errorf("the browser went: %d %s", a.code, a.text)
	}
}

func TestOnlyTheNodesSecretMayPush(t *testing.T) {
	r := newRig(t, fast())
	for name, c := range map[string]struct {
		path, body, auth string
		code             int
	}{
		"no secret":    {"", "{}", "", 401},
		"wrong secret": {"", "{}", "Bearer " + server + "x", 401},
		"a write key":  {"", "{}", "Bearer " + pub, 401},
		"no JSON":      {"", "{", "Bearer " + server, 400},
		"nobody":       {"", `{"tenant":"acme","user":"","action":{"id":"a"}}`, "Bearer " + server, 400},
		"slash":        {"", `{"tenant":"a/b","user":"c","action":{"id":"a"}}`, "Bearer " + server, 400},
		"long wait":    {"?timeout=10m", `{"tenant":"acme","user":"c","action":{"id":"a"}}`, "Bearer " + server, 400},
		"large":        {"", `{"tenant":"` + strings.Repeat("x", 300<<10) + `"}`, "Bearer " + server, 400},
	} {
		if a := r.post("/internal/v1/push"+c.path, c.body, header("Authorization", c.auth)); a.code != c.code {
			t.Errorf("%s: %d %s", name, a.code, a.text)
		}
	}
	res, err := http.Post("http://"+r.Addr()+"/internal/v1/push", "application/json", strings.NewReader("{}"))
	if err != nil || res.StatusCode != 404 {
		t.Errorf("the public listener: %v, %v", res, err)
	}
	res.Body.Close()
}

func TestChannelsAreOpenedOnlyByWhoMay(t *testing.T) {
	r := newRig(t, fast())
	token := func(tenant string, in time.Duration) string {
		s, err := push.MintToken([]byte(signer), tenant, "ann", r.clock.now().Add(in))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, c := range map[string]struct {
		origin string
		query  []string
		code   int
	}{
		"no key":                 {shop, []string{"anonymous_id", browser}, 401},
		"wrong key":              {shop, []string{"key", "x", "anonymous_id", browser}, 401},
		"no scope":               {"", []string{"key", secretly, "anonymous_id", browser}, 403},
		"wrong origin":           {"https://evil.example", []string{"key", pub, "anonymous_id", browser}, 403},
		"another tenant's page":  {"https://rival.example", []string{"key", pub, "anonymous_id", browser}, 403},
		"short id":               {shop, []string{"key", pub, "anonymous_id", "short"}, 400},
		"long id":                {shop, []string{"key", pub, "anonymous_id", strings.Repeat("x", 257)}, 400},
		"expired token":          {shop, []string{"key", pub, "token", token("acme", -time.Second)}, 401},
		"another tenant's token": {shop, []string{"key", pub, "token", token("rival", time.Hour)}, 401},
		"forged token":           {shop, []string{"key", pub, "token", token("acme", time.Hour) + "x"}, 401},
		"bad token and an id":    {shop, []string{"key", pub, "token", "x", "anonymous_id", browser}, 401},
	} {
		ws, res, err := dial(r, c.origin, c.query...)
		if err == nil {
			t.Errorf("%s: opened, %v", name, ws.Close())
		} else if res == nil || res.StatusCode != c.code {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
	if a := r.do("GET", "/v1/push?key="+pub+"&anonymous_id="+browser, ""); a.code != 400 {
		t.Errorf("no WebSocket: %d %s", a.code, a.text)
	}
	r.until("no place is held by those", func() bool { return r.hub.Connections() == 0 })
}

func TestTokenOpensTheUsersChannel(t *testing.T) {
	r := newRig(t, fast())
	a := r.post("/v1/token", `{"userId":"ann","ttl_s":600}`, basic(secretly))
	if a.code != 200 || a.ExpiresMS != r.clock.now().Add(10*time.Minute).Truncate(time.Second).UnixMilli() {
		t.Fatalf("%d %s", a.code, a.text)
	}
	p := open(r, "key", pub, "token", a.Token)
	answered := make(chan reply, 1)
	go func() { answered <- pushTo(r, "acme", "ann", "a1", "10s") }()
	p.say(p.hear(), "clicked")
	if a := <-answered; a.Status != "clicked" {
		t.Errorf("%d %s", a.code, a.text)
	}
	if _, res, err := dial(r, "", "key", rival, "token", a.Token); err == nil || res.StatusCode != 401 {
		t.Errorf("with another tenant's key: %v", err)
	}
	for name, c := range map[string]struct {
		key, body string
		code      int
	}{
		"public key": {pub, `{"userId":"ann"}`, 403}, "no key": {"", `{"userId":"ann"}`, 401}, "nobody": {secretly, `{}`, 400},
		"too long": {secretly, `{"userId":"ann","ttl_s":3601}`, 400}, "forever": {secretly, `{"userId":"ann","ttl_s":-1}`, 400}, "no JSON": {secretly, `x`, 400},
	} {
		if a := r.post("/v1/token", c.body, basic(c.key)); a.code != c.code || a.Token != "" {
			t.Errorf("%s: %d %s", name, a.code, a.text)
		}
	}
}

func TestTokensAreOffWithoutASecret(t *testing.T) {
	cfg := fast()
	cfg.PushSecret, cfg.Push.Anonymous = "", false
	r := newRig(t, cfg)
	if a := r.post("/v1/token", `{"userId":"ann"}`, basic(secretly)); a.code != 501 {
		t.Errorf("%d %s", a.code, a.text)
	}
	if _, res, err := dial(r, shop, "key", pub, "anonymous_id", browser); err == nil || res.StatusCode != 401 {
		t.Errorf("an anonymous id where only tokens are taken: %v", err)
	}
}

func TestChannelEndsWithItsTokenAndItsKey(t *testing.T) {
	cfg := fast()
	cfg.Push.PingEvery = 250 * time.Millisecond
	r := newRig(t, cfg)
	token, err := push.MintToken([]byte(signer), "acme", "ann", r.clock.now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	byToken, byKey := open(r, "key", rivalOr(r), "token", token), open(r, "key", pub, "anonymous_id", browser)
	r.clock.advance(time.Minute)
	if last, code := byToken.end(); last.Cmd != "close" || code != websocket.ClosePolicyViolation {
		t.Errorf("expired token: %+v, %d", last, code)
	}
	r.putKey(pub, &schemas.WriteKey{Id: "acme-web-2", Tenant: "acme", Scopes: []string{"ingest"}})
	if last, code := byKey.end(); last.Cmd != "close" || code != websocket.ClosePolicyViolation {
		t.Errorf("key without its scope: %+v, %d", last, code)
	}
}

// rivalOr is a second key of acme.
func rivalOr(r *rig) string {
	r.putKey("pub-acme-2", &schemas.WriteKey{Id: "acme-web-3", Tenant: "acme", Scopes: []string{"push"}, Origins: []string{shop}})
	return "pub-acme-2"
}

func TestTheTabThatWasActiveLastGetsTheAction(t *testing.T) {
	cfg := fast()
	cfg.Push.MaxPerUser = 2
	r := newRig(t, cfg)
	first := open(r, "key", pub, "anonymous_id", browser)
	second := open(r, "key", pub, "anonymous_id", browser)
	answered := make(chan reply, 1)
	ask := func(id string) { answered <- pushTo(r, "acme", visitor, id, "10s") }
	go ask("a1")
	second.say(second.hear(), "seen")
	<-answered
	first.say(envelope{ID: "z", Action: push.Action{ID: "z"}}, "dismissed") // the user turns to the first
	read(r, topics.Deliveries, 2)
	go ask("a2")
	first.say(first.hear(), "seen")
	<-answered
	// A third tab supersedes the one that was quiet longest.
	third := open(r, "key", pub, "anonymous_id", browser)
	if last, code := second.end(); last.Cmd != "close" || last.RetryMS < 60_000 || code != 4409 {
		t.Errorf("superseded: %+v, %d", last, code)
	}
	// A tab that goes before it replies leaves the action to another.
	go ask("a3")
	third.hear()
	third.leave()
	first.say(first.hear(), "seen")
	if a := <-answered; a.code != 200 || a.Status != "seen" {
		t.Errorf("%d %s", a.code, a.text)
	}
}
