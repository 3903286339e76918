package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/gateway/keys"
)

// share lets a page of an origin that any key allows read the answer, refusals too; admit takes it
// back where it is not the key's own.
func (g *Gateway) share(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	if origin != "" && g.keys.AllowsOrigin(origin) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After, X-RateLimit-Reset")
	}
}

// preflight answers a browser that asks before it sends. It does not say with which key it will.
func (g *Gateway) preflight(w http.ResponseWriter, r *http.Request, method string) {
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		g.refuse(w, "preflight", wrongOrigin(r.Header.Get("Origin")))
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", method)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Content-Encoding, Idempotency-Key")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

func wrongOrigin(origin string) *answer.Fault {
	return &answer.Fault{
		Status: http.StatusForbidden, Where: "Origin", What: fmt.Sprintf("pages of %q may not use this key", origin),
		Do: "Add the origin to the key's origins and apply the file.",
	}
}

// admit finds the key and checks that it may do this, from where it is used.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, secret, scope string) (*keys.Key, error) {
	if !g.keysRead() {
		return nil, answer.Busy("the write keys are not read yet", g.cfg.RetryAfter)
	}
	key, ok := g.keys.Find(secret)
	if !ok {
		f := &answer.Fault{Status: http.StatusUnauthorized, Where: "write key", What: "no such key is in force", Do: "Check the key, or apply a new one: it may have been revoked."}
		if secret == "" {
			f.What, f.Do = "there is none", "Give it as the user name of Basic authorization, or as writeKey in the body."
		}
		return nil, f
	}
	if !key.May(scope) {
		return nil, &answer.Fault{Status: http.StatusForbidden, Where: "write key", What: "the key " + key.ID + " has no scope " + scope, Do: "Use a key that has, or add the scope and apply the file."}
	}
	if origin := r.Header.Get("Origin"); origin != "" && !key.Allows(origin) && !sameOrigin(origin, r.Host) {
		w.Header().Del("Access-Control-Allow-Origin")
		return nil, wrongOrigin(origin)
	}
	return key, nil
}

// sameOrigin: a page that this host served. Schemes may differ behind a proxy that ends TLS.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// spend takes n items off the key's allowance.
func (g *Gateway) spend(key *keys.Key, n int) error {
	wait := key.Take(g.now(), n, g.cfg.rate())
	if wait == 0 {
		return nil
	}
	return &answer.Fault{
		Status: http.StatusTooManyRequests, Where: "write key", Retry: wait,
		What: fmt.Sprintf("the key %s sends more than %g events a second", key.ID, g.cfg.Rate),
		Do:   "Send it again after the seconds in Retry-After; batches do not help, every event counts.",
	}
}
