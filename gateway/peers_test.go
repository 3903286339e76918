package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/dwellhq/dwell/topics"
)

func TestSlowPeerIsCutOff(t *testing.T) {
	cfg := fast()
	cfg.Push.Queue = 4
	r := newRig(t, cfg)
	p := open(r, "key", pub, "anonymous_id", browser)
	// It reads nothing; what the kernel takes for it fills up, then the queue.
	big := `{"x":"` + strings.Repeat("y", 200<<10) + `"}`
	r.until("it is cut off", func() bool {
		for i := range 20 {
			body := fmt.Sprintf(`{"tenant":"acme","user":%q,"action":{"id":"a%d-%d","payload":%s}}`, visitor, time.Now().UnixNano(), i, big)
			r.post("/internal/v1/push?timeout=0s", body, nodeKey)
		}
		return r.hub.Connections() == 0
	})
	if r.metric("dwell_push_slow_peers_total") != 1 {
		t.Error("it was cut off for another reason")
	}
	_ = p
}

func TestRudePeersAreCutOff(t *testing.T) {
	r := newRig(t, fast())
	large := open(r, "key", pub, "anonymous_id", browser)
	large.must(large.ws.WriteMessage(websocket.TextMessage, make([]byte, 5<<10)))
	if _, code := large.end(); code != websocket.CloseMessageTooBig {
		t.Errorf("oversize: %d", code)
	}
	binary := open(r, "key", pub, "anonymous_id", browser)
	binary.must(binary.ws.WriteMessage(websocket.BinaryMessage, []byte("x")))
	if _, code := binary.end(); code != websocket.CloseUnsupportedData {
		t.Errorf("binary: %d", code)
	}
	chatty := open(r, "key", pub, "anonymous_id", browser)
	for i, err := 0, error(nil); i < 30 && err == nil; i++ { // the last of them may find the door shut
		err = chatty.ws.WriteJSON(map[string]string{"status": "seen", "action": fmt.Sprint(i)})
	}
	if last, code := chatty.end(); last.Cmd != "close" || code != websocket.ClosePolicyViolation {
		t.Errorf("chatty: %+v, %d", last, code)
	}
	r.until("all are gone", func() bool { return r.hub.Connections() == 0 })
	if _, all := read(r, topics.Deliveries, 20); len(all) != 20 {
		t.Errorf("%d deliveries of the chatty one", len(all))
	}
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	cfg := fast()
	cfg.Push.PingEvery, cfg.Push.WriteTimeout = 50*time.Millisecond, 200*time.Millisecond
	r := newRig(t, cfg)
	live := open(r, "key", pub, "anonymous_id", browser)
	open(r, "key", pub, "anonymous_id", browser+"2") // never reads again, so it answers no ping
	gone := make(chan error, 1)
	go func() {
		_, _, err := live.ws.ReadMessage() // answers pings meanwhile
		gone <- err
	}()
	r.until("the silent one is gone", func() bool { return r.hub.Connections() == 1 })
	select {
	case err := <-gone:
		t.Errorf("the live one is gone, too: %v", err)
	default:
	}
	live.leave()
	if err := <-gone; err == nil {
		t.Error("it read something")
	}
}

func TestNoMoreConnectionsThanAllowed(t *testing.T) {
	cfg := fast()
	cfg.Push.MaxConnections = 1
	r := newRig(t, cfg)
	p := open(r, "key", pub, "anonymous_id", browser)
	if _, res, err := dial(r, shop, "key", pub, "anonymous_id", browser); err == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Fatalf("a second: %v", err)
	}
	p.leave()
	r.until("the place is free", func() bool { return r.hub.Connections() == 0 })
	open(r, "key", pub, "anonymous_id", browser)
	// The browser knows that it is connected before the hub has counted it.
	r.until("it is counted", func() bool { return r.metric("dwell_push_connections") == 1 })
}
