package gateway

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// presence is the newest presence of a user.
func presence(r *rig, user string) *schemas.Presence {
	r.t.Helper()
	recs, all := read(r, topics.Presences, 1)
	var newest *schemas.Presence
	for i, rec := range recs {
		if string(rec.Key) == "acme/"+user {
			newest = all[i]
		}
	}
	return newest
}

func TestPresenceFollowsTheUserFromNodeToNode(t *testing.T) {
	a := newRig(t, fast())
	b := onKafka(t, fast(), a.cluster, a.kc)
	at := func(node *rig) func() bool {
		return func() bool {
			p := presence(a, visitor)
			return p != nil && p.Node == node.NodeURL() && p.Tenant == "acme" && p.User == visitor && p.Session != "" && p.SinceMs == node.clock.now().UnixMilli()
		}
	}
	onA := open(a, "key", pub, "anonymous_id", browser)
	a.until("the user is on a", at(a))
	onB := open(b, "key", pub, "anonymous_id", browser)
	a.until("the newer connection is told of", at(b))
	onB.leave() // a still holds the user, and tells so when b's tombstone comes by
	a.until("the user is on a again", at(a))
	onB = open(b, "key", pub, "anonymous_id", browser)
	a.until("the user is on b again", at(b))
	onA.leave() // must not wipe out b's
	b.until("a has forgotten the user", func() bool { return a.hub.Connections() == 0 })
	if err := a.replies.cl.Flush(t.Context()); err != nil || !at(b)() {
		t.Errorf("a wiped out b's presence: %v, %v", presence(a, visitor), err)
	}
	b.stop() // a drain: the last record is b's tombstone
	if err := <-b.ended; err != nil {
		t.Error(err)
	}
	if p := presence(a, visitor); p != nil {
		t.Errorf("after b's end: %v", p)
	}
	if last, code := onB.end(); last.Cmd != "close" || code != websocket.CloseGoingAway {
		t.Errorf("b's goodbye: %+v, %d", last, code)
	}
}

func TestDrainEndsInOrder(t *testing.T) {
	r := newRig(t, fast())
	var pages []*page
	for i := range 30 {
		pages = append(pages, open(r, "key", pub, "anonymous_id", browser+fmt.Sprint(i)))
	}
	waiting, answered := make(chan reply, 1), make(chan reply, 1)
	go func() { waiting <- pushTo(r, "acme", visitor+"0", "a1", "20s") }()
	pages[0].hear()
	// An open request: its body comes when the end has begun.
	began := make(chan struct{})
	go func() {
		body := &slowBody{began: began, wait: func() { r.until("the end has begun", r.draining.Load) }, text: win}
		a, _ := r.try("POST", "/v1/track", "", basic(pub), func(q *http.Request) { q.Body, q.ContentLength = body, -1 })
		answered <- a
	}()
	<-began
	r.until("it is open", func() bool { return r.running.Load() == 1 })
	r.stop()
	retries := map[int64]bool{}
	for _, p := range pages {
		last, code := p.end()
		if last.Cmd != "close" || last.RetryMS < 100 || code != websocket.CloseGoingAway {
			t.Fatalf("goodbye: %+v, %d", last, code)
		}
		retries[last.RetryMS] = true
	}
	if len(retries) < 10 {
		t.Errorf("30 browsers come back at %d moments", len(retries))
	}
	if a := <-waiting; a.code != 404 {
		t.Errorf("a push that waited: %d %s", a.code, a.text)
	}
	if a := <-answered; a.code != 200 {
		t.Errorf("the open request: %d %s", a.code, a.text)
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	if r.Ready() {
		t.Error("ready after the end")
	}
	if _, events := read(r, topics.Events, 1); events[0].Id != "m1" {
		t.Errorf("event %v", events[0])
	}
	recs, all := read(r, topics.Presences, 60)
	newest := map[string]*schemas.Presence{}
	for i, rec := range recs {
		newest[string(rec.Key)] = all[i]
	}
	for key, p := range newest {
		if p != nil {
			t.Errorf("%s is still present: %v", key, p)
		}
	}
	if _, err := http.Get("http://" + r.Addr()); err == nil {
		t.Error("the listener is still open")
	}
}

// TestDrainWaitsForKafka: what was told of nobody yet when the end began is in the topic when Run
// returns.
func TestDrainWaitsForKafka(t *testing.T) {
	r := newRig(t, fast())
	stuck := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.Presences.Name, Err: kerr.NotLeaderForPartition, Count: -1})
	p := open(r, "key", pub, "anonymous_id", browser)
	r.stop()
	p.end()
	r.until("the page is gone", func() bool { return r.hub.Connections() == 0 })
	select {
	case err := <-r.ended:
		t.Errorf("Run did not wait: %v", err)
	default:
	}
	stuck.Remove()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	if _, all := read(r, topics.Presences, 2); len(all) != 2 || all[0] == nil || all[1] != nil {
		t.Errorf("presences: %v", all)
	}
}

// slowBody waits before its text.
type slowBody struct {
	began chan struct{}
	wait  func()
	text  string
	at    int
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.at == 0 {
		b.at = 1
		p[0] = ' '
		close(b.began)
		return 1, nil
	}
	if b.at == 1 {
		b.wait()
		b.at = 2
		return copy(p, b.text), nil
	}
	return 0, io.EOF
}

func (b *slowBody) Close() error { return nil }
