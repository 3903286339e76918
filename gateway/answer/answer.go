// Package answer is how the gateway says no: what was refused, where, and what to do about it.
package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Fault is why a request, or one item of it, was refused.
type Fault struct {
	// Status is the HTTP status, 400 to 599.
	Status int `json:"-"`
	// What was wrong, in words that name the value.
	What string `json:"what"`
	// Where it stands: a header, a field, or batch[3].
	Where string `json:"where,omitempty"`
	// Do says what the caller can do about it.
	Do string `json:"do"`
	// Retry is how long to wait before the same request may pass; zero: it never will.
	Retry time.Duration `json:"-"`
}

// Error implements error.
func (f *Fault) Error() string {
	if f.Where == "" {
		return f.What
	}
	return f.Where + ": " + f.What
}

// Invalid is a request that will never pass (400).
func Invalid(where, what, do string) *Fault {
	return &Fault{Status: http.StatusBadRequest, What: what, Where: where, Do: do}
}

// TooLarge is a request or item beyond its limit in bytes (413).
func TooLarge(where string, limit int) *Fault {
	return &Fault{
		Status: http.StatusRequestEntityTooLarge, Where: where,
		What: fmt.Sprintf("more than %d bytes", limit), Do: "Send less at once.",
	}
}

// Busy is a request that may pass after retry (503).
func Busy(what string, retry time.Duration) *Fault {
	return &Fault{
		Status: http.StatusServiceUnavailable, What: what, Retry: retry,
		Do: "Send it again after the seconds in Retry-After, with the same messageId: it counts once.",
	}
}

// Of finds the Fault in err; an error that holds none is the gateway's own (500).
func Of(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{Status: http.StatusInternalServerError, What: "the gateway failed", Do: "Look into its log."}
}

// Item is the fate of one item of a batch.
type Item struct {
	Index   int    `json:"index"`
	Success bool   `json:"success"`
	Status  int    `json:"status"`
	Error   *Fault `json:"error,omitempty"`
}

// Refusal is the body of every answer that is no plain success.
type Refusal struct {
	Success    bool   `json:"success"`
	Durability string `json:"durability,omitempty"`
	Error      *Fault `json:"error,omitempty"`
	Items      []Item `json:"items,omitempty"`
}

// Write sends v as JSON.
func Write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"success":false}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(append(b, '\n')) //nolint:errcheck // the peer is gone; nobody is left to tell
}

// Refuse sends err, with Retry-After in seconds and X-RateLimit-Reset in Unix seconds where a
// later try may pass.
func Refuse(w http.ResponseWriter, now time.Time, err error) {
	f := Of(err)
	Later(w, now, f.Retry)
	if f.Status == http.StatusUnauthorized {
		// No scheme that a browser knows, or it would ask the visitor for a password.
		w.Header().Set("WWW-Authenticate", `WriteKey realm="dwell"`)
	}
	Write(w, f.Status, Refusal{Error: f})
}

// Later sets the headers that say when to come again; zero sets none.
func Later(w http.ResponseWriter, now time.Time, retry time.Duration) {
	if retry <= 0 {
		return
	}
	s := int64(math.Ceil(retry.Seconds()))
	w.Header().Set("Retry-After", strconv.FormatInt(s, 10))
	w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(now.Unix()+s, 10))
}
