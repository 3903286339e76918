package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/gateway/keys"
	"github.com/dwellhq/dwell/gateway/push"
	"github.com/dwellhq/dwell/schemas"
)

// Limits of an anonymous id that opens a channel. Whoever knows it may read what its user is sent, so
// it must be long enough not to be guessed.
const (
	minAnonymousBytes = 16
	maxTokenRequest   = 4 << 10
)

// openPush answers GET /v1/push?key=K with &anonymous_id=ID or &token=T.
func (g *Gateway) openPush(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	key, err := g.admit(w, r, q.Get("key"), keys.Push)
	if err != nil {
		return err
	}
	anonymous, via := q.Get("anonymous_id"), push.Via{Key: key.Hash}
	user := schemas.AnonymousUser(anonymous)
	if token := q.Get("token"); token != "" {
		user, via.Expires, err = push.CheckToken(g.pushSecret, key.Tenant, token, g.now())
		if err != nil {
			return &answer.Fault{Status: http.StatusUnauthorized, Where: "token", What: err.Error(), Do: "Let your server get a new one: POST /v1/token with a key of scope command."}
		}
	} else if err := g.mayClaim(anonymous); err != nil {
		return err
	}
	return g.hub.Connect(w, r, key.Tenant, user, via)
}

func (g *Gateway) mayClaim(anonymous string) error {
	if !g.cfg.Push.Anonymous {
		return &answer.Fault{Status: http.StatusUnauthorized, Where: "token", What: "this gateway opens channels by token only", Do: "Let your server get one: POST /v1/token with a key of scope command."}
	}
	if n := len(anonymous); n < minAnonymousBytes || n >= schemas.MaxIDBytes {
		return answer.Invalid("anonymous_id", fmt.Sprintf("%d bytes; it must have %d to %d", n, minAnonymousBytes, schemas.MaxIDBytes-1), "Draw it at random in the browser, or open the channel of a user by token.")
	}
	return nil
}

// minted is the answer to POST /v1/token.
type minted struct {
	Success bool   `json:"success"`
	Token   string `json:"token"`
	// ExpiresMS is Unix milliseconds.
	ExpiresMS int64 `json:"expires_ms"`
}

// mintToken answers POST /v1/token {"userId":..., "ttl_s":...}: a tenant's server lets a user's
// browser open that user's channel.
func (g *Gateway) mintToken(w http.ResponseWriter, r *http.Request) error {
	secret, _, _ := r.BasicAuth()
	key, err := g.admit(w, r, secret, keys.Command)
	if err != nil {
		return err
	}
	if len(g.pushSecret) == 0 {
		return &answer.Fault{Status: http.StatusNotImplemented, Where: "token", What: "this gateway has no push secret", Do: "Set DWELL_PUSH_SECRET or DWELL_PUSH_SECRET_FILE."}
	}
	body, free, err := g.bodies.Read(w, r, maxTokenRequest)
	defer free()
	if err != nil {
		return err
	}
	var ask struct {
		UserID string `json:"userId"`
		TTLS   int64  `json:"ttl_s"`
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return answer.Invalid("body", err.Error(), `Send {"userId":"ann","ttl_s":600}.`)
	}
	ttl := g.cfg.MaxTokenTTL
	if ask.TTLS != 0 {
		ttl = time.Duration(ask.TTLS) * time.Second
	}
	var faults []error
	if ask.UserID == "" || len(ask.UserID) > schemas.MaxIDBytes {
		faults = append(faults, fmt.Errorf("userId: must have 1 to %d bytes", schemas.MaxIDBytes))
	}
	if schemas.IsAnonymous(ask.UserID) {
		faults = append(faults, errors.New("userId: is an anonymous id; tokens are for users who logged in"))
	}
	if ask.TTLS < 0 || ask.TTLS > int64(g.cfg.MaxTokenTTL/time.Second) {
		faults = append(faults, fmt.Errorf("ttl_s: %d is not within 1 to %d", ask.TTLS, int64(g.cfg.MaxTokenTTL/time.Second)))
	}
	if err := errors.Join(faults...); err != nil {
		return answer.Invalid("body", err.Error(), "Mend the named fields.")
	}
	expires := g.now().Add(ttl).Truncate(time.Second)
	token, err := push.MintToken(g.pushSecret, key.Tenant, ask.UserID, expires)
	if err != nil {
		return err
	}
	answer.Write(w, http.StatusOK, minted{true, token, expires.UnixMilli()})
	return nil
}
