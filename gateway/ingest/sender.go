package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/internal/address"
)

// maxAgentBytes bounds what is kept of a User-Agent header.
const maxAgentBytes = 1024

// Limits of one request.
type Limits struct {
	// EventBytes bounds one event or frame as it is written, BatchBytes a request, unpacked.
	EventBytes, BatchBytes int
	// Items bounds how many events or frames a request holds.
	Items int
}

// Sender is what the gateway knows of a request beyond its body.
type Sender struct {
	// Tenant and Source are those of the write key: its tenant and its public id.
	Tenant, Source string
	// Address is the client's, already truncated; UserAgent stands in where an event has none.
	Address, UserAgent string
	// Idempotency stands in for a message id; in a batch the item's index is appended.
	Idempotency string
	// NowMS is the receive time, Unix milliseconds.
	NowMS int64
}

// FromRequest fills in what the request's headers and connection say. behindProxy believes the last
// X-Forwarded-For entry, which is the one that the nearest proxy wrote: those before it are whatever
// the client liked to send.
func FromRequest(r *http.Request, behindProxy bool) Sender {
	from := r.RemoteAddr
	if all := r.Header.Values("X-Forwarded-For"); behindProxy && len(all) > 0 {
		list := all[len(all)-1]
		from = strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
	}
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	agent := strings.ToValidUTF8(r.UserAgent(), "")
	for len(agent) > maxAgentBytes || !utf8.ValidString(agent) {
		agent = agent[:min(len(agent)-1, maxAgentBytes)]
	}
	return Sender{
		Address: address.Truncate(strings.Trim(from, "[]")), UserAgent: agent,
		Idempotency: r.Header.Get("Idempotency-Key"),
	}
}

// sound checks one item as bytes, before it is parsed.
func sound(raw []byte, where string, limit int) *answer.Fault {
	if len(raw) > limit {
		return answer.TooLarge(where, limit)
	}
	if !utf8.Valid(raw) {
		return answer.Invalid(where, "it is not UTF-8", "Write JSON in UTF-8.")
	}
	return nil
}

// unparsed says why where is not the JSON that it should be.
func unparsed(where string, err error) *answer.Fault {
	const do = "Send what the Segment HTTP API describes: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/"
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field != "" {
			where += "." + e.Field
		}
		return answer.Invalid(where, fmt.Sprintf("a JSON %s cannot stand here", e.Value), do)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return answer.Invalid(where, fmt.Sprintf("no JSON: %v, at byte %d", e, e.Offset), do)
	}
	return answer.Invalid(where, fmt.Sprintf("no JSON: %v", err), do)
}

// unfit says what is wrong with an item that parsed.
func unfit(where string, err error) *answer.Fault {
	return answer.Invalid(where, strings.ReplaceAll(err.Error(), "\n", "; "), "Mend the named fields and send it again.")
}

// split checks how many items a request holds.
func split(where string, n, limit int) *answer.Fault {
	if n == 0 {
		return answer.Invalid(where, "it holds nothing", "Send at least one item.")
	}
	if n > limit {
		f := answer.TooLarge(where, 0)
		f.What = fmt.Sprintf("%d items, at most %d are taken", n, limit)
		return f
	}
	return nil
}
