package push

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/schemas"
)

// ErrOffline says that the user has no connection here, or that it ended before a reply.
var ErrOffline = errors.New("the user has no connection on this node")

// Limits of POST /internal/v1/push.
const (
	maxCommandBytes = 256 << 10
	defaultWait     = 2 * time.Second
	// MaxWait is the longest that a push waits for its reply.
	MaxWait = 30 * time.Second
)

// Push sends the command's action to the user's browser and returns its reply: the status Seen,
// Clicked, Dismissed, Expired or Duplicate; Pushed when none came until ctx ended; ErrOffline when
// there is no connection or none is left. An action that was answered before is not sent again.
func (h *Hub) Push(ctx context.Context, cmd Command) (status string, err error) {
	key, began := schemas.Key(cmd.Tenant, cmd.User), h.now()
	if h.choose(key, nil, nil) == nil {
		return "", ErrOffline
	}
	body, err := json.Marshal(popup{cmd.Action.ID, "popup", cmd.Action})
	if err != nil {
		return "", fmt.Errorf("push action %s: %w", cmd.Action.ID, err)
	}
	p := h.memory.open(key, cmd, began)
	tried := map[*conn]bool{}
	for {
		at, first := h.memory.where(p)
		if first != "" {
			return first, nil
		}
		c := h.choose(key, at, tried)
		if c == nil {
			return "", ErrOffline
		}
		tried[c] = true
		h.memory.put(p, c)
		if !c.send(message{text: body}) {
			continue
		}
		select {
		case <-p.answered:
			h.metrics.seconds.Observe(h.now().Sub(began).Seconds())
		case <-c.gone: // what it was sent may be lost: another tab shows it, or drops it as a duplicate
		case <-ctx.Done():
			return Pushed, nil
		}
	}
}

// choose prefers the connection that has the action already, else the one that was active last.
func (h *Hub) choose(key string, at *conn, tried map[*conn]bool) *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[key]
	if u == nil {
		return nil
	}
	var best *conn
	for _, c := range u.conns {
		switch {
		case tried[c]:
		case c == at:
			return c
		case best == nil || c.active > best.active:
			best = c
		}
	}
	return best
}

// Node is the handler of the node-to-node listener. Only who knows secret may push.
//
//	POST /internal/v1/push?timeout=2s
//
// answers 200 {"status":...} with the browser's reply, 504 when it was pushed and no reply came in
// time, 404 when the user has no connection here.
func (h *Hub) Node(secret string) http.Handler {
	want := sha256.Sum256([]byte("Bearer " + secret))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /internal/v1/push", func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			answer.Refuse(w, h.now(), &answer.Fault{
				Status: http.StatusUnauthorized, Where: "Authorization", What: "no valid secret",
				Do: "Give every gateway and engager the same DWELL_INTERNAL_SECRET.",
			})
			return
		}
		if err := h.serve(w, r); err != nil {
			answer.Refuse(w, h.now(), err)
		}
	})
	return mux
}

// nodeStatus is the answer to a push.
type nodeStatus struct {
	Status string `json:"status"`
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request) error {
	const do = "Send what the engager sends."
	wait := defaultWait
	if s := r.URL.Query().Get("timeout"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > MaxWait {
			return answer.Invalid("timeout", fmt.Sprintf("%q is no duration of 0s to %s", s, MaxWait), do)
		}
		wait = d
	}
	var cmd Command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommandBytes)).Decode(&cmd); err != nil {
		return answer.Invalid("body", err.Error(), do)
	}
	if err := cmd.Validate(); err != nil {
		return answer.Invalid("body", strings.ReplaceAll(err.Error(), "\n", "; "), do)
	}
	// The time for reading is over; left in force, it would end the request while it waits.
	http.NewResponseController(w).SetReadDeadline(time.Time{}) //nolint:errcheck // a connection that is gone needs none
	ctx, stop := context.WithTimeout(r.Context(), wait)
	defer stop()
	status, err := h.Push(ctx, cmd)
	switch {
	case errors.Is(err, ErrOffline):
		return &answer.Fault{Status: http.StatusNotFound, Where: "user", What: err.Error(), Do: "Push to the node of the user's newest presence."}
	case err != nil:
		return err
	case status == Pushed && wait > 0:
		answer.Write(w, http.StatusGatewayTimeout, nodeStatus{status})
	case status == Pushed || slices.Contains(replies(), status):
		answer.Write(w, http.StatusOK, nodeStatus{status})
	}
	return nil
}
