// Package ingest turns request bodies into records: it bounds and unpacks the body, splits it into
// calls or frames, and checks each one by itself, so that one bad item does not cost the others.
package ingest

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dwellhq/dwell/gateway/answer"
)

// Budget bounds the bytes of all request bodies in memory together.
type Budget struct {
	// Bytes is the most that may be held at once.
	Bytes int64
	// Retry is what a request hears that does not fit in.
	Retry time.Duration

	held atomic.Int64
}

// Read returns the body, unpacked and at most limit bytes long, or a *answer.Fault. The body's share
// of the budget is held until free is called; free is never nil.
func (b *Budget) Read(w http.ResponseWriter, r *http.Request, limit int) (body []byte, free func(), err error) {
	free = func() {}
	packed, err := form(r.Header)
	if err != nil {
		return nil, free, err
	}
	if r.ContentLength > int64(limit) {
		return nil, free, answer.TooLarge("body", limit)
	}
	share := int64(limit) // of a body whose length nobody knows before it is read
	if !packed && r.ContentLength >= 0 {
		share = r.ContentLength
	}
	if b.held.Add(share) > b.Bytes {
		b.held.Add(-share)
		return nil, free, answer.Busy("too many requests are being read", b.Retry)
	}
	body, err = read(w, r, packed, limit)
	if err != nil {
		b.held.Add(-share)
		return nil, free, err
	}
	// The time for reading is over; left in force, it would end the request while it waits for Kafka.
	http.NewResponseController(w).SetReadDeadline(time.Time{}) //nolint:errcheck // a connection that is gone needs none
	return body, func() { b.held.Add(-share) }, nil
}

// bodies are the media types that may hold JSON. Form encoding is what curl -d says when nobody tells
// it otherwise; a real form does not parse as JSON, and the fault says so.
var bodies = map[string]bool{"application/json": true, "text/plain": true, "application/x-www-form-urlencoded": true}

// form checks how the body is written; packed means gzip.
func form(h http.Header) (packed bool, err error) {
	const do = "Send JSON as application/json or text/plain, plain or with Content-Encoding: gzip."
	kind := h.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); kind != "" && (err != nil || !bodies[media]) {
		return false, answer.Invalid("Content-Type", fmt.Sprintf("%q is not taken", kind), do)
	}
	switch coding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); coding {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip":
		return true, nil
	default:
		return false, answer.Invalid("Content-Encoding", fmt.Sprintf("%q is not taken", coding), do)
	}
}

func read(w http.ResponseWriter, r *http.Request, packed bool, limit int) ([]byte, error) {
	var src io.Reader = http.MaxBytesReader(w, r.Body, int64(limit))
	if packed {
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, broken(err, limit)
		}
		defer z.Close() //nolint:errcheck // it closes nothing below it
		src = io.LimitReader(z, int64(limit)+1)
	}
	body, err := io.ReadAll(src)
	switch {
	case err != nil:
		return nil, broken(err, limit)
	case len(body) > limit:
		return nil, answer.TooLarge("body", limit)
	}
	return body, nil
}

// broken says why a body could not be read.
func broken(err error, limit int) *answer.Fault {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return answer.TooLarge("body", limit)
	}
	return answer.Invalid("body", fmt.Sprintf("it could not be read: %v", err), "Send the whole body, in the coding that its headers name.")
}
