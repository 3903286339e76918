package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const win = `{"userId":"ann","event":"bet_settled","messageId":"m1","properties":{"result":"win"}}`

func TestTrackIsAnsweredOnceKafkaHasIt(t *testing.T) {
	r := newRig(t, fast())
	a := r.post("/v1/track", win, basic(pub), header("User-Agent", "Agent/1"), header("X-Forwarded-For", "203.0.113.77"))
	if a.code != 200 || strings.TrimSpace(a.text) != `{"success":true,"durability":"kafka"}` {
		t.Fatalf("%d %s", a.code, a.text)
	}
	recs, events := read(r, topics.Events, 1)
	e, ms := events[0], r.clock.now().UnixMilli()
	want := &schemas.Event{
		Id: "m1", Tenant: "acme", UserId: "ann", Type: "track", Name: "bet_settled", TimeMs: ms, ReceivedMs: ms,
		Properties: []byte(`{"result":"win"}`), UserAgent: "Agent/1", Address: "127.0.0.0", Source: "acme-web",
	}
	if e.String() != want.String() {
		t.Errorf("got  %v\nwant %v", e, want)
	}
	if string(recs[0].Key) != "acme/ann" || recs[0].Timestamp.UnixMilli() != ms {
		t.Errorf("key %q at %s", recs[0].Key, recs[0].Timestamp)
	}
	if n := r.metric("dwell_gateway_accepted_total"); n != 1 {
		t.Errorf("accepted = %v", n)
	}
}

func TestEveryKindOfCallIsTaken(t *testing.T) {
	r := newRig(t, fast())
	media := []string{"application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"} // the last is what curl -d says
	for i, kind := range []string{"track", "identify", "page", "screen", "group", "alias"} {
		// The path says what it is, whatever the body thinks.
		if a := r.post("/v1/"+kind, `{"type":"screen","anonymousId":"a1","event":"e","writeKey":"`+pub+`"}`, header("Content-Type", media[i%3])); a.code != 200 {
			t.Errorf("%s: %d %s", kind, a.code, a.text)
		}
	}
	_, events := read(r, topics.Events, 6)
	for i, kind := range []string{"track", "identify", "page", "screen", "group", "alias"} {
		if events[i].Type != kind {
			t.Errorf("event %d is a %s", i, events[i].Type)
		}
	}
}

func TestRefusalsSayWhatWhereAndWhatToDo(t *testing.T) {
	cfg := fast()
	cfg.MaxBatchEvents = 3
	r := newRig(t, cfg)
	long := strings.Repeat("x", 33<<10)
	for name, c := range map[string]struct {
		method, path, body string
		more               []func(*http.Request)
		code               int
		where              string
	}{
		"no JSON":           {"POST", "/v1/track", `{"userId":`, nil, 400, "body"},
		"wrong kind of id":  {"POST", "/v1/track", `{"userId":7}`, nil, 400, "body.userId"},
		"nobody":            {"POST", "/v1/track", `{"event":"e"}`, nil, 400, "body"},
		"bad time":          {"POST", "/v1/track", `{"userId":"a","event":"e","timestamp":"noon"}`, nil, 400, "body"},
		"not UTF-8":         {"POST", "/v1/track", "{\"userId\":\"a\xff\",\"event\":\"e\"}", nil, 400, "body"},
		"empty":             {"POST", "/v1/track", ``, nil, 400, "body"},
		"multipart":         {"POST", "/v1/track", win, []func(*http.Request){header("Content-Type", "multipart/form-data; boundary=x")}, 400, "Content-Type"},
		"a real form":       {"POST", "/v1/track", "event=win&userId=ann", []func(*http.Request){header("Content-Type", "application/x-www-form-urlencoded")}, 400, "body"},
		"brotli":            {"POST", "/v1/track", win, []func(*http.Request){header("Content-Encoding", "br")}, 400, "Content-Encoding"},
		"no gzip":           {"POST", "/v1/track", win, []func(*http.Request){header("Content-Encoding", "gzip")}, 400, "body"},
		"large event":       {"POST", "/v1/track", `{"userId":"a","event":"` + long + `"}`, nil, 413, "body"},
		"large batch":       {"POST", "/v1/batch", `{"batch":["` + strings.Repeat("x", 501<<10) + `"]}`, nil, 413, "body"},
		"empty batch":       {"POST", "/v1/batch", `{"batch":[]}`, nil, 400, "batch"},
		"no batch":          {"POST", "/v1/batch", `{}`, nil, 400, "batch"},
		"batch of a string": {"POST", "/v1/batch", `{"batch":"x"}`, nil, 400, "body.batch"},
		"many in a batch":   {"POST", "/v1/batch", `{"batch":[1,2,3,4]}`, nil, 413, "batch"},
		"unknown key":       {"POST", "/v1/track", win, []func(*http.Request){basic("nobody")}, 401, "write key"},
		"its hash as key":   {"POST", "/v1/track", win, []func(*http.Request){basic(hashOf(pub))}, 401, "write key"},
		"no key":            {"POST", "/v1/track", win, []func(*http.Request){func(r *http.Request) { r.Header.Del("Authorization") }}, 401, "write key"},
		"no scope":          {"POST", "/v1/track", win, []func(*http.Request){basic(secretly)}, 403, "write key"},
		"wrong origin":      {"POST", "/v1/track", win, []func(*http.Request){header("Origin", "https://rival.example")}, 403, "Origin"},
		"GET":               {"GET", "/v1/track", ``, nil, 405, "method"},
		"no such call":      {"POST", "/v1/trick", win, nil, 404, "path"},
		"no page":           {"GET", "/", ``, nil, 404, "path"},
		"no frames":         {"POST", "/v1/frames", `{"userId":"a","frames":[]}`, nil, 400, "frames"},
		"nobody's frames":   {"POST", "/v1/frames", `{"frames":[{}]}`, nil, 400, "userId, anonymousId"},
	} {
		a := r.do(c.method, c.path, c.body, append([]func(*http.Request){basic(pub)}, c.more...)...)
		if a.code != c.code || a.Success || a.Error == nil || a.Error.Where != c.where || a.Error.What == "" || a.Error.Do == "" {
			t.Errorf("%s: %d %s", name, a.code, a.text)
		}
		if basic := a.header.Get("WWW-Authenticate"); a.code == 401 && (basic == "" || strings.Contains(basic, "Basic")) {
			t.Errorf("%s: WWW-Authenticate %q: a browser would ask for a password", name, basic)
		}
	}
	if n := r.events.cl.BufferedProduceRecords(); n != 0 {
		t.Errorf("%d records are on their way", n)
	}
	if n := r.size(topics.Events.Name); n != 0 {
		t.Errorf("%d events came through", n)
	}
}

func TestPartOfABatchMayBeBad(t *testing.T) {
	r := newRig(t, fast())
	good := func(id string) string {
		return `{"type":"track","userId":"ann","event":"e","messageId":"` + id + `"}`
	}
	body := `{"context":{"userAgent":"Lib/2","page":{"path":"/p"}},"batch":[` + strings.Join([]string{
		good("a"), `{"type":"dance","userId":"ann"}`, `17`, good("b"), `{"type":"track","userId":"x","event":"` + strings.Repeat("y", 33<<10) + `"}`,
	}, ",") + `]}`
	a := r.post("/v1/batch", body, basic(pub))
	var codes []int
	for _, it := range a.Items {
		codes = append(codes, it.Status)
	}
	if a.code != 207 || a.Success || a.Durability != "kafka" || fmt.Sprint(codes) != "[200 400 400 200 413]" {
		t.Fatalf("%d %v %s", a.code, codes, a.text)
	}
	if e := a.Items[1].Error; e.Where != "batch[1]" || !strings.Contains(e.What, `"dance"`) {
		t.Errorf("item 1: %+v", e)
	}
	_, events := read(r, topics.Events, 2)
	if events[0].Id != "a" || events[1].Id != "b" || events[0].UserAgent != "Lib/2" || events[1].Path != "/p" {
		t.Errorf("events: %v", events)
	}
	if a := r.post("/v1/batch", `{"batch":[1,2]}`, basic(pub)); a.code != 400 || len(a.Items) != 2 || a.Durability != "" {
		t.Errorf("all bad: %d %s", a.code, a.text)
	}
	if a := r.post("/v1/batch", `{"batch":[`+good("c")+`,`+good("d")+`]}`, basic(pub)); a.code != 200 || a.Items != nil {
		t.Errorf("all good: %d %s", a.code, a.text)
	}
}

func TestIdempotencyKeyStandsInForMessageIDs(t *testing.T) {
	r := newRig(t, fast())
	key := header("Idempotency-Key", "k1")
	r.post("/v1/track", `{"userId":"ann","event":"e"}`, basic(pub), key)
	r.post("/v1/track", win, basic(pub), key)
	r.post("/v1/batch", `{"batch":[{"type":"track","userId":"ann","event":"e"},{"type":"track","userId":"ann","event":"e"}]}`, basic(pub), key)
	_, events := read(r, topics.Events, 4)
	var ids []string
	for _, e := range events {
		ids = append(ids, e.Id)
	}
	if fmt.Sprint(ids) != "[k1 m1 k1/0 k1/1]" {
		t.Errorf("ids = %v", ids)
	}
}

func TestGzipIsUnpackedWithinTheLimit(t *testing.T) {
	cfg := fast()
	cfg.BodyBytes = int64(cfg.MaxBatchBytes)
	r := newRig(t, cfg)
	gz := header("Content-Encoding", "gzip")
	if a := r.post("/v1/track", packed([]byte(win)), basic(pub), gz); a.code != 200 {
		t.Fatalf("%d %s", a.code, a.text)
	}
	bomb := packed(bytes.Repeat([]byte(" "), 400<<20>>2))
	if len(bomb) > 400<<10 {
		t.Fatalf("the bomb has %d bytes: the limit on the wire would stop it", len(bomb))
	}
	if a := r.post("/v1/batch", bomb, basic(pub), gz); a.code != 413 {
		t.Errorf("bomb: %d %s", a.code, a.text)
	}
	if a := r.post("/v1/track", packed([]byte(win))[:30], basic(pub), gz); a.code != 400 {
		t.Errorf("cut gzip: %d %s", a.code, a.text)
	}
	chunked := func(q *http.Request) {
		q.Body, q.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat(" ", 600<<10))), -1
	}
	if a := r.post("/v1/batch", "", basic(pub), chunked); a.code != 413 {
		t.Errorf("chunked: %d %s", a.code, a.text)
	}
	// All of the budget is free again, or this would find no room.
	if a := r.post("/v1/batch", packed([]byte(`{"batch":[{"type":"track","userId":"u","event":"e"}]}`)), basic(pub), gz); a.code != 200 {
		t.Errorf("afterwards: %d %s", a.code, a.text)
	}
}

func TestAKeyThatSendsTooMuchWaits(t *testing.T) {
	cfg := fast()
	cfg.Rate, cfg.Burst = 2, 4
	r := newRig(t, cfg)
	batch := `{"batch":[` + strings.TrimSuffix(strings.Repeat(`{"type":"track","userId":"ann","event":"e"},`, 3), ",") + `]}`
	if a := r.post("/v1/batch", batch, basic(pub)); a.code != 200 {
		t.Fatalf("burst: %d %s", a.code, a.text)
	}
	a := r.post("/v1/batch", batch, basic(pub))
	if a.code != 429 || a.header.Get("Retry-After") != "1" || a.header.Get("X-RateLimit-Reset") != "1800000001" {
		t.Fatalf("%d %s %v", a.code, a.text, a.header)
	}
	if a := r.post("/v1/track", win, basic(rival)); a.code != 200 {
		t.Errorf("another key: %d %s", a.code, a.text)
	}
	r.clock.advance(time.Second)
	if a := r.post("/v1/batch", batch, basic(pub)); a.code != 200 {
		t.Errorf("a second later: %d %s", a.code, a.text)
	}
	r.clock.advance(time.Hour)
	huge := `{"batch":[` + strings.TrimSuffix(strings.Repeat(`{"type":"track","userId":"ann","event":"e"},`, 30), ",") + `]}`
	if a := r.post("/v1/batch", huge, basic(pub)); a.code != 200 {
		t.Errorf("a batch above the burst never passes: %d %s", a.code, a.text)
	}
}

func TestMoreRequestsThanAllowedAreSentAway(t *testing.T) {
	cfg := fast()
	cfg.MaxRequests = 1
	r := newRig(t, cfg)
	hold, feed := io.Pipe()
	held := make(chan reply, 1)
	go func() {
		a, _ := r.try("POST", "/v1/track", "", basic(pub), func(q *http.Request) { q.Body, q.ContentLength = hold, -1 })
		held <- a
	}()
	r.until("the first request is open", func() bool { return r.running.Load() == 1 })
	a := r.post("/v1/track", win, basic(pub))
	if a.code != 503 || a.header.Get("Retry-After") != "2" || a.header.Get("X-RateLimit-Reset") == "" {
		t.Errorf("%d %s", a.code, a.text)
	}
	if _, err := io.WriteString(feed, win); err != nil {
		t.Fatal(err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if a := <-held; a.code != 200 {
		t.Errorf("the first: %d %s", a.code, a.text)
	}
	if a := r.post("/v1/track", win, basic(pub)); a.code != 200 {
		t.Errorf("afterwards: %d %s", a.code, a.text)
	}
}

func TestBodiesTogetherAreBounded(t *testing.T) {
	cfg := fast()
	cfg.BodyBytes = int64(cfg.MaxBatchBytes)
	r := newRig(t, cfg)
	hold, feed := io.Pipe()
	held := make(chan reply, 1)
	go func() {
		a, _ := r.try("POST", "/v1/batch", "", basic(pub), func(q *http.Request) { q.Body, q.ContentLength = hold, -1 })
		held <- a
	}()
	r.until("a second body finds no room", func() bool { return r.post("/v1/track", win, basic(pub)).code == 503 })
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if a := <-held; a.code != 400 {
		t.Errorf("the first: %d %s", a.code, a.text)
	}
	if a := r.post("/v1/track", win, basic(pub)); a.code != 200 {
		t.Errorf("afterwards: %d %s", a.code, a.text)
	}
}

func TestAddressComesFromTheNearestProxyOnlyWhereTrusted(t *testing.T) {
	cfg := fast()
	cfg.TrustProxy = true
	r := newRig(t, cfg)
	for _, xff := range []string{"6.6.6.6, 203.0.113.77", "2001:db8:1:2::3", "6.6.6.6, 198.51.100.9:4711", "not an address"} {
		r.post("/v1/track", `{"userId":"ann","event":"e"}`, basic(pub), header("X-Forwarded-For", xff))
	}
	_, events := read(r, topics.Events, 4)
	var got []string
	for _, e := range events {
		got = append(got, e.Address)
	}
	if fmt.Sprintf("%q", got) != `["203.0.113.0" "2001:db8:1::" "198.51.100.0" ""]` {
		t.Errorf("addresses = %q", got)
	}
}

func TestFramesAreTakenWithTheServersTime(t *testing.T) {
	r := newRig(t, fast())
	frame := func(seq int) string {
		return fmt.Sprintf(`{"v":1,"uid":"eve","pv":"p1","seq":%d,"ct":1000.7,"est":0,"ect":0,"vis":true,"foc":1,"frz":0,"act":0,"vw":800,"vh":600,"slots":{"s":{"o":0,"fill":"f","in":50,"tot":100}}}`, seq)
	}
	body := `{"writeKey":"` + pub + `","anonymousId":"` + browser + `","frames":[` + frame(0) + `,` + frame(1) + `]}`
	a := r.post("/v1/frames", body, header("Content-Type", "text/plain"))
	if a.code != 200 || !a.Success || a.T != r.clock.now().UnixMilli() {
		t.Fatalf("%d %s", a.code, a.text)
	}
	recs, frames := read(r, topics.Frames, 2)
	f := frames[1]
	if f.Tenant != "acme" || f.User != visitor || f.Seq != 1 || f.ReceivedMs != a.T || f.CtMs != 1000 || len(f.Slots) != 1 || string(recs[1].Key) != "acme/"+visitor {
		t.Errorf("frame %v, key %s", f, recs[1].Key)
	}
	a = r.post("/v1/frames", `{"writeKey":"`+pub+`","userId":"ann","anonymousId":"x","frames":[`+frame(2)+`,{"v":1}]}`)
	if a.code != 207 || a.Items[0].Status != 200 || a.Items[1].Status != 400 || a.Items[1].Error.Where != "frames[1]" {
		t.Errorf("%d %s", a.code, a.text)
	}
	if recs, _ = read(r, topics.Frames, 3); string(recs[len(recs)-1].Key) != "acme/ann" && string(recs[0].Key) != "acme/ann" {
		t.Errorf("the user id does not win")
	}
}

func TestPagesOfAKeysOriginsMayRead(t *testing.T) {
	r := newRig(t, fast())
	ask := func(origin string) reply {
		return r.do("OPTIONS", "/v1/track", "", header("Origin", origin), header("Access-Control-Request-Method", "POST"))
	}
	if a := ask(shop); a.code != 204 || a.header.Get("Access-Control-Allow-Origin") != shop || a.header.Get("Access-Control-Max-Age") != "86400" || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", a.code, a.header)
	}
	if a := ask("https://evil.example"); a.code != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("evil preflight: %d %v", a.code, a.header)
	}
	if a := r.post("/v1/track", win, basic(pub), header("Origin", shop)); a.code != 200 || a.header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("%d %v", a.code, a.header)
	}
	// Another tenant's page passes the preflight, and not the key.
	if a := r.post("/v1/track", win, basic(pub), header("Origin", "https://rival.example")); a.code != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", a.code, a.header)
	}
	if a := r.post("/v1/track", win, basic(pub), header("Origin", "http://"+r.Addr())); a.code != 200 {
		t.Errorf("same origin: %d %s", a.code, a.text)
	}
	if a := r.post("/v1/track", win, basic("nobody"), header("Origin", shop)); a.code != 401 || a.header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("a page cannot read why it was refused: %d %v", a.code, a.header)
	}
	r.putKey("any", &schemas.WriteKey{Id: "any", Tenant: "acme", Scopes: []string{"ingest"}, Origins: []string{"*"}})
	if a := ask("https://evil.example"); a.code != 204 {
		t.Errorf("with a key for any origin: %d", a.code)
	}
	r.putKey("any", nil)
	if a := ask("https://evil.example"); a.code != 403 {
		t.Errorf("after it was revoked: %d", a.code)
	}
}

func TestRevokedKeyStopsWithinASecond(t *testing.T) {
	r := newRig(t, fast())
	if a := r.post("/v1/track", win, basic(pub)); a.code != 200 {
		t.Fatalf("%d %s", a.code, a.text)
	}
	began := time.Now()
	r.putKey(pub, nil)
	a := r.post("/v1/track", win, basic(pub))
	if took := time.Since(began); a.code != 401 || !strings.Contains(a.Error.Do, "revoked") || took > time.Second {
		t.Errorf("%d %s after %s", a.code, a.text, took)
	}
	if a := r.post("/v1/track", win, basic(rival)); a.code != 200 {
		t.Errorf("another key: %d", a.code)
	}
}

func TestTenantsDoNotMeet(t *testing.T) {
	r := newRig(t, fast())
	// The same user in both, and a body that claims to be the other's.
	r.post("/v1/track", `{"userId":"ann","event":"e","tenant":"rival","messageId":"1"}`, basic(pub))
	r.post("/v1/track", `{"userId":"ann","event":"e","writeKey":"`+pub+`","messageId":"2"}`, basic(rival))
	recs, events := read(r, topics.Events, 2)
	for i, e := range events {
		want := map[string]string{"1": "acme", "2": "rival"}[e.Id]
		if e.Tenant != want || string(recs[i].Key) != want+"/ann" || e.Source != want+"-web" {
			t.Errorf("event %s: %v with key %s", e.Id, e, recs[i].Key)
		}
	}
}
