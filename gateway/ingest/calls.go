package ingest

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/dwellhq/dwell/schemas"
)

// Batch is the kind of call that holds others.
const Batch = "batch"

// Kinds are the calls of the Segment HTTP API.
func Kinds() []string {
	return []string{"track", "identify", "page", "screen", "group", "alias", Batch}
}

// Calls is a parsed request: one call, or those of a batch.
type Calls struct {
	// WriteKey is the key in the body; empty: none.
	WriteKey string

	kind   string
	single schemas.Segment
	batch  []json.RawMessage
	common common
	limit  int
}

// common is what a batch says of all its calls.
type common struct {
	UserAgent string `json:"userAgent"`
	Page      struct {
		Path     string `json:"path"`
		Referrer string `json:"referrer"`
	} `json:"page"`
}

// BodyLimit is the most bytes that a request of this kind may have, unpacked.
func (l Limits) BodyLimit(kind string) int {
	if kind == Batch {
		return l.BatchBytes
	}
	return l.EventBytes
}

// ParseCalls reads the body of a POST to /v1/kind. The calls of a batch are not looked into yet.
func ParseCalls(kind string, body []byte, l Limits) (*Calls, error) {
	c := &Calls{kind: kind, limit: l.EventBytes}
	if kind != Batch {
		if f := sound(body, "body", l.EventBytes); f != nil {
			return nil, f
		}
		if err := json.Unmarshal(body, &c.single); err != nil {
			return nil, unparsed("body", err)
		}
		c.single.Type, c.WriteKey = kind, c.single.WriteKey
		return c, nil
	}
	var b struct {
		WriteKey string            `json:"writeKey"`
		Batch    []json.RawMessage `json:"batch"`
		Context  common            `json:"context"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, unparsed("body", err)
	}
	if f := split("batch", len(b.Batch), l.Items); f != nil {
		return nil, f
	}
	c.WriteKey, c.batch, c.common = b.WriteKey, b.Batch, b.Context
	return c, nil
}

// Len is the number of calls, at least 1.
func (c *Calls) Len() int {
	if c.kind == Batch {
		return len(c.batch)
	}
	return 1
}

// Event checks call i and makes it an event of the sender's tenant.
func (c *Calls) Event(i int, s Sender) (*schemas.Event, error) {
	where, call := "body", &c.single
	if c.kind == Batch {
		where, call = fmt.Sprintf("batch[%d]", i), &schemas.Segment{}
		if f := sound(c.batch[i], where, c.limit); f != nil {
			return nil, f
		}
		if err := json.Unmarshal(c.batch[i], call); err != nil {
			return nil, unparsed(where, err)
		}
		c.common.fill(call)
		if s.Idempotency != "" {
			s.Idempotency += "/" + strconv.Itoa(i)
		}
	}
	if call.MessageID == "" {
		call.MessageID = s.Idempotency
	}
	if call.Context.UserAgent == "" {
		call.Context.UserAgent = s.UserAgent
	}
	e, err := call.Record(s.Tenant, s.NowMS)
	if err != nil {
		return nil, unfit(where, err)
	}
	e.Address, e.Source = s.Address, s.Source
	return e, nil
}

// fill gives the call what only the batch says.
func (c *common) fill(call *schemas.Segment) {
	to := &call.Context
	for _, f := range []struct {
		to   *string
		from string
	}{{&to.UserAgent, c.UserAgent}, {&to.Page.Path, c.Page.Path}, {&to.Page.Referrer, c.Page.Referrer}} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
}
