package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait for the browser.
const patience = 20 * time.Second

// call is one request that the tag made.
type call struct {
	path, kind string
	at         time.Time
	Event      string            `json:"event"`
	Type       string            `json:"type"`
	WriteKey   string            `json:"writeKey"`
	MessageID  string            `json:"messageId"`
	Timestamp  string            `json:"timestamp"`
	Anonymous  string            `json:"anonymousId"`
	User       string            `json:"userId"`
	Properties map[string]any    `json:"properties"`
	Traits     map[string]any    `json:"traits"`
	Batch      []call            `json:"batch"`
	Frames     []json.RawMessage `json:"frames"`
	status     int
}

// frame is one frame as the tag sent it.
type frame struct {
	V, VW, VH                  int
	UID, PV                    string
	Seq                        int
	CT, EST, ECT, Act, WT      int64
	Vis, Foc, Frz, End, Resume int
	Slots                      map[string]slot
	call                       *call
}

type slot struct {
	O                                   int
	Fill, Campaign, Creative, Placement string
	In, Tot                             int64
}

type reply struct{ Reply, Status, Action string }

// gateway fakes the answers of the real one, and remembers what it was told.
type gateway struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	calls   []call
	replies []reply
	socket  *websocket.Conn
	asked   []url.Values // of every push connection
	greet   bool         // whether a push channel gets a welcome
	status  func(c *call) int
	onTrack func(c *call)
	markup  string // the body of /page
	demo    bool   // whether /demo/exposure exists
	sockets sync.WaitGroup
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, changed: make(chan struct{}), greet: true, status: func(*call) int { return 200 }}
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.HandleFunc("POST /v1/", g.take)
	mux.HandleFunc("GET /v1/push", g.push)
	mux.HandleFunc("GET /page", g.page)
	mux.HandleFunc("GET /demo/exposure", func(w http.ResponseWriter, r *http.Request) {
		if !g.demo || r.FormValue("anonymous_id") == "" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"billable_s":7,"exposed_ms":7500}`)
	})
	g.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		g.hangUp()
		g.CloseClientConnections()
		g.Close()
		g.sockets.Wait()
	})
	return g
}

// note runs f under the lock and wakes who waits.
func (g *gateway) note(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

// await waits until ok, which runs under the lock, and fails the test after a while.
func (g *gateway) await(what string, ok func() bool) {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.mu.Lock()
		done, changed := ok(), g.changed
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			g.mu.Lock()
			defer g.mu.Unlock()
			g.t.Fatalf("waited %v for %s; calls %s; replies %+v", patience, what, brief(g.calls), g.replies)
		}
	}
}

func (g *gateway) take(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	c := call{path: strings.TrimPrefix(r.URL.Path, "/v1/"), kind: r.Header.Get("Content-Type"), at: time.Now()}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		g.t.Errorf("%s: %v in %q", r.URL.Path, err, b)
	}
	var after func(*call)
	g.note(func() {
		c.status = g.status(&c)
		g.calls = append(g.calls, c)
		after = g.onTrack
	})
	w.Header().Set("Content-Type", "application/json")
	if c.status != 200 {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(c.status)
		_, _ = io.WriteString(w, `{"success":false,"error":"not now"}`)
		return
	}
	_, _ = fmt.Fprintf(w, `{"success":true,"durability":"kafka","t":%d}`, time.Now().UnixMilli())
	if after != nil && c.path == "track" {
		after(&c)
	}
}

func (g *gateway) push(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	g.sockets.Add(1)
	defer g.sockets.Done()
	defer conn.Close()
	g.note(func() {
		g.socket = conn
		g.asked = append(g.asked, r.URL.Query())
		if g.greet {
			_ = conn.WriteJSON(map[string]any{"cmd": "welcome", "t": time.Now().UnixMilli()})
		}
	})
	for {
		var got reply
		if conn.ReadJSON(&got) != nil {
			break
		}
		g.note(func() { g.replies = append(g.replies, got) })
	}
	g.note(func() {
		if g.socket == conn {
			g.socket = nil
		}
	})
}

// tell sends one envelope over the push channel, once there is one.
func (g *gateway) tell(envelope string) {
	g.t.Helper()
	g.await("a push channel", func() bool { return g.socket != nil })
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.socket.WriteMessage(websocket.TextMessage, []byte(envelope)); err != nil {
		g.t.Fatalf("push %s: %v", envelope, err)
	}
}

// hangUp breaks the push channel without a word.
func (g *gateway) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.socket != nil {
		_ = g.socket.NetConn().Close()
	}
}

// said waits for one reply.
func (g *gateway) said(want reply) {
	g.t.Helper()
	g.await(fmt.Sprintf("reply %+v", want), func() bool {
		for _, r := range g.replies {
			if r == want {
				return true
			}
		}
		return false
	})
}

// page is a page of a customer, with the tag in it.
func (g *gateway) page(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	token := ""
	if t := r.FormValue("token"); t != "" {
		token = ` data-token="` + t + `"`
	}
	_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>page</title><link rel="icon" href="data:,"><body>`+
		`<script>window.errors=[];addEventListener('error',e=>errors.push(e.message));addEventListener('unhandledrejection',e=>errors.push(String(e.reason)));`+
		`window.dwell=window.dwell||function(){(dwell.q=dwell.q||[]).push(arguments)};</script>`+
		g.markup+`<script async src="/dwell.js" data-key="k1" data-shadow="open"`+token+`></script></body></html>`)
}

// events are the events taken so far, in order, from single calls and batches; taken means status 200.
func (g *gateway) events() []call {
	var all []call
	for _, c := range g.calls {
		switch {
		case c.status != 200 || c.path == "frames":
		case c.path == "batch":
			all = append(all, c.Batch...)
		default:
			c.Type = c.path
			all = append(all, c)
		}
	}
	return all
}

// frames are all frames so far, in the order they came.
func (g *gateway) frames() []frame {
	var all []frame
	for i := range g.calls {
		for _, raw := range g.calls[i].Frames {
			f := frame{call: &g.calls[i]}
			if err := json.Unmarshal(raw, &f); err != nil {
				g.t.Errorf("frame %s: %v", raw, err)
			}
			all = append(all, f)
		}
	}
	return all
}

// frame waits for a frame that fits and returns the first one.
func (g *gateway) frame(what string, fits func(f frame) bool) (found frame) {
	g.t.Helper()
	g.await("a frame "+what, func() bool {
		for _, f := range g.frames() {
			if fits(f) {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

func brief(calls []call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "\n  %s %s %d", c.path, c.Event, c.status)
		for _, e := range c.Batch {
			fmt.Fprintf(&b, " %s", e.Event)
		}
		for _, f := range c.Frames {
			fmt.Fprintf(&b, "\n    %s", f)
		}
	}
	return b.String()
}
