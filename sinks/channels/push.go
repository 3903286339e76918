package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// Push hands actions to the gateway node that holds the user's browser. The node reports what the
// browser replies (seen, clicked, ...) by itself; the browser drops an action whose id it had.
type Push struct {
	presences *Presences
	client    *http.Client
	secret    string
	query     string
	reply     time.Duration
}

// maxAnswerBytes bounds what is read of a node's answer.
const maxAnswerBytes = 4 << 10

// NewPush makes the channel. perNode is the most calls that will be open to one node; as many
// connections to it are kept.
func NewPush(cfg PushConfig, presences *Presences, perNode int) (*Push, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("push channel: %w", err)
	}
	secret, err := cfg.secret()
	if err != nil {
		return nil, fmt.Errorf("push channel: %w", err)
	}
	return &Push{
		presences: presences, secret: secret, reply: cfg.ReplyTimeout,
		query: "?" + url.Values{"timeout": {cfg.ReplyTimeout.String()}}.Encode(),
		client: &http.Client{
			Timeout: cfg.ReplyTimeout + cfg.DialTimeout + cfg.Slack,
			// A node never redirects; one that does would lead the secret astray.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{ // no Proxy: node to node
				DialContext:           (&net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 15 * time.Second}).DialContext,
				TLSHandshakeTimeout:   cfg.DialTimeout,
				ResponseHeaderTimeout: cfg.ReplyTimeout + cfg.Slack,
				MaxIdleConns:          0, // bounded per node
				MaxIdleConnsPerHost:   perNode,
				IdleConnTimeout:       90 * time.Second,
			},
		},
	}, nil
}

// Close lets go of idle connections. Call it when no Deliver is under way any more.
func (p *Push) Close() { p.client.CloseIdleConnections() }

// Kinds implements Channel.
func (p *Push) Kinds() []string { return []string{"popup", "push"} }

// Lane implements Channel: the lane is the node that holds the user.
func (p *Push) Lane(key string) (string, bool) { return p.presences.Node(key) }

// Deliver implements Channel: one POST to the node that holds the user now.
func (p *Push) Deliver(ctx context.Context, a *schemas.Action) (Receipt, error) {
	key := schemas.Key(a.Tenant, a.User)
	node, ok := p.presences.Node(key)
	if !ok {
		return Receipt{Outcome: Absent}, fmt.Errorf("push to %s: not connected", key)
	}
	body, err := pushBody(a)
	if err != nil {
		return Receipt{Outcome: Refused}, fmt.Errorf("push to %s: %w", key, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, node+"/internal/v1/push"+p.query, bytes.NewReader(body))
	if err != nil {
		return Receipt{Outcome: Refused}, fmt.Errorf("push to %s: %w", key, err)
	}
	req.Header.Set("Authorization", "Bearer "+p.secret)
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return Receipt{Outcome: Down}, fmt.Errorf("push to %s: %w", key, err)
	}
	defer res.Body.Close()
	// Read to its end, so that the connection can be used again; the start says what went wrong.
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	r := Receipt{Outcome: outcomeOf(res.StatusCode)}
	if r.Outcome == Taken {
		if res.StatusCode == http.StatusGatewayTimeout {
			r.Waited = p.reply
		}
		return r, nil
	}
	return r, fmt.Errorf("push to %s: %s answered %s %.200q", key, node, res.Status, answer)
}

// outcomeOf reads a node's answer. A wrong secret (401, 403) is the operator's to mend and no fault
// of the action: it waits, as it does while a node drains (503) or is something else altogether
// (a redirect).
func outcomeOf(status int) Outcome {
	switch {
	case status == http.StatusOK, status == http.StatusGatewayTimeout: // 504: pushed, no reply yet
		return Taken
	case status == http.StatusNotFound:
		return Absent
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return Refused
	case status == http.StatusTooManyRequests, status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusBadGateway:
		return Later
	}
	return Down
}

// pushRequest is the body of POST /internal/v1/push.
type pushRequest struct {
	Tenant  string     `json:"tenant"`
	User    string     `json:"user"`
	Action  pushAction `json:"action"`
	MatchID string     `json:"match_id"`
	Version string     `json:"version"`
	Variant string     `json:"variant"`
	Channel string     `json:"channel"`
}

// pushAction is what the browser gets.
type pushAction struct {
	ID        string          `json:"id"`
	Campaign  string          `json:"campaign"`
	Content   string          `json:"content"`
	Slot      string          `json:"slot"`
	ExpiresMS int64           `json:"expires_ms"`
	Payload   json.RawMessage `json:"payload"`
}

func pushBody(a *schemas.Action) ([]byte, error) {
	payload := json.RawMessage("{}")
	if len(a.Payload) > 0 {
		payload = a.Payload
	}
	b, err := json.Marshal(pushRequest{
		Tenant: a.Tenant, User: a.User, MatchID: a.MatchId, Version: a.Version, Variant: a.Variant, Channel: a.Channel,
		Action: pushAction{ID: a.Id, Campaign: a.Campaign, Content: a.Content, Slot: a.Slot, ExpiresMS: a.ExpiresMs, Payload: payload},
	})
	if err != nil {
		return nil, fmt.Errorf("encode action %s: %w", a.Id, err)
	}
	return b, nil
}
