package channels

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

func testPush(t *testing.T, h http.HandlerFunc, edit ...func(*PushConfig)) (*Push, *Presences, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg := DefaultPush()
	cfg.InternalSecret = "hush"
	for _, f := range edit {
		f(&cfg)
	}
	presences := NewPresences(Nodes{})
	if err := presences.Set("t/ann", &schemas.Presence{Node: srv.URL}); err != nil {
		t.Fatal(err)
	}
	p, err := NewPush(cfg, presences, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, presences, srv
}

var action = &schemas.Action{Id: "a1", Tenant: "t", User: "ann", Campaign: "c", Channel: "popup"}

func TestEveryAnswerHasItsOutcome(t *testing.T) {
	for status, want := range map[int]Outcome{
		200: Taken, 504: Taken, 404: Absent, 400: Refused, 413: Refused, 422: Refused,
		401: Down, 403: Down, 502: Down, 503: Down, 429: Later, 500: Later, 302: Down, 204: Down, 405: Down,
	} {
		p, _, _ := testPush(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://"+r.Host+"/elsewhere")
			w.WriteHeader(status)
			if status != 204 && status != 302 {
				_, _ = io.WriteString(w, `the reason`)
			}
		})
		r, err := p.Deliver(t.Context(), action)
		if r.Outcome != want || (err == nil) != (want == Taken) {
			t.Errorf("%d: %v, %v; want %s", status, r, err, want)
		}
		if want == Refused && !strings.Contains(err.Error(), "the reason") {
			t.Errorf("%d: the error does not say why: %v", status, err)
		}
		if waited := r.Waited > 0; waited != (status == 504) {
			t.Errorf("%d: waited %v", status, r.Waited)
		}
	}
}

func TestSecretFollowsNoRedirect(t *testing.T) {
	strayed := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed = true }))
	defer other.Close()
	p, _, _ := testPush(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if r, err := p.Deliver(t.Context(), action); r.Outcome != Down || err == nil || strayed {
		t.Errorf("%v %v, strayed %v", r, err, strayed)
	}
}

func TestUserWhoIsNotThere(t *testing.T) {
	called := false
	p, presences, _ := testPush(t, func(http.ResponseWriter, *http.Request) { called = true })
	presences.Delete("t/ann")
	if r, err := p.Deliver(t.Context(), action); r.Outcome != Absent || err == nil || called {
		t.Errorf("%v %v, called %v", r, err, called)
	}
	if _, ok := p.Lane("t/ann"); ok {
		t.Error("a lane to a user who is not there")
	}
}

func TestDeadAndSlowNodesAreDown(t *testing.T) {
	release := make(chan struct{})
	quick := func(c *PushConfig) { c.ReplyTimeout, c.Slack = 20*time.Millisecond, 20*time.Millisecond }
	p, presences, srv := testPush(t, func(http.ResponseWriter, *http.Request) { <-release }, quick)
	if r, err := p.Deliver(t.Context(), action); r.Outcome != Down || err == nil {
		t.Errorf("slow: %v %v", r, err)
	}
	close(release)
	srv.Close()
	if r, err := p.Deliver(t.Context(), action); r.Outcome != Down || err == nil {
		t.Errorf("dead: %v %v", r, err)
	}
	if lane, ok := p.Lane("t/ann"); !ok || lane != srv.URL {
		t.Errorf("Lane = %q %v", lane, ok)
	}
	if _, ok := presences.Node("t/ann"); !ok {
		t.Error("a failed call changed where the user is")
	}
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	p, _, _ := testPush(t, func(http.ResponseWriter, *http.Request) { close(asked); <-release })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := p.Deliver(ctx, action); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestHugeAnswerIsCutOff(t *testing.T) {
	p, _, _ := testPush(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.Copy(w, io.LimitReader(endless{}, 64<<20)) // ends when the caller hangs up
	})
	if r, err := p.Deliver(t.Context(), action); r.Outcome != Later || len(err.Error()) > 1000 {
		t.Errorf("%v, an error of %d bytes", r, len(err.Error()))
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestPayloadThatIsNoJSONIsRefused(t *testing.T) {
	var body string
	p, _, _ := testPush(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
	})
	bad := &schemas.Action{Id: "a", Tenant: "t", User: "ann", Payload: []byte("{")}
	if r, err := p.Deliver(t.Context(), bad); r.Outcome != Refused || err == nil {
		t.Errorf("a payload that is no JSON: %v %v", r, err)
	}
	if r, err := p.Deliver(t.Context(), action); r.Outcome != Taken || err != nil || !strings.Contains(body, `"payload":{}`) {
		t.Errorf("no payload: %v %v, sent %s", r, err, body)
	}
}

func TestSecretComesFromExactlyOnePlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("  from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret, file string
		ok           bool
	}{{"", "", false}, {"x", "", true}, {"", file, true}, {"x", file, false}, {"", empty, false}, {"", file + ".missing", false}} {
		cfg := DefaultPush()
		cfg.InternalSecret, cfg.InternalSecretFile = c.secret, c.file
		p, err := NewPush(cfg, NewPresences(Nodes{}), 1)
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
		if c.file == file && c.ok && p.secret != "from-file" {
			t.Errorf("secret = %q", p.secret)
		}
	}
}

func TestPushConfigurationFaultsAreAllNamed(t *testing.T) {
	err := PushConfig{Nodes: []string{"a:b"}}.Validate()
	for _, want := range []string{"internal secret", "reply timeout", "dial timeout", "slack", "a:b"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in: %v", want, err)
		}
	}
}
