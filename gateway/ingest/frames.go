package ingest

import (
	"encoding/json"
	"fmt"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/schemas"
)

// Frames is a parsed POST to /v1/frames.
type Frames struct {
	// WriteKey is the key in the body; empty: none.
	WriteKey string

	user  string
	items []json.RawMessage
	limit int
}

// ParseFrames reads the body. The frames are not looked into yet.
func ParseFrames(body []byte, l Limits) (*Frames, error) {
	var b struct {
		WriteKey    string            `json:"writeKey"`
		UserID      string            `json:"userId"`
		AnonymousID string            `json:"anonymousId"`
		Frames      []json.RawMessage `json:"frames"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, unparsed("body", err)
	}
	user := b.UserID
	if user == "" {
		user = schemas.AnonymousUser(b.AnonymousID)
	} else if schemas.IsAnonymous(user) {
		return nil, answer.Invalid("userId", "it is written as an anonymous id is", "Send it as anonymousId, without the mark.")
	}
	if user == "" || len(user) > schemas.MaxIDBytes {
		return nil, answer.Invalid("userId, anonymousId", fmt.Sprintf("one of them must be set, of at most %d bytes", schemas.MaxIDBytes), "Say whose frames they are.")
	}
	if f := split("frames", len(b.Frames), l.Items); f != nil {
		return nil, f
	}
	return &Frames{WriteKey: b.WriteKey, user: user, items: b.Frames, limit: l.EventBytes}, nil
}

// Len is the number of frames, at least 1.
func (f *Frames) Len() int { return len(f.items) }

// Frame checks frame i and makes it one of the sender's tenant.
func (f *Frames) Frame(i int, s Sender) (*schemas.Frame, error) {
	where := fmt.Sprintf("frames[%d]", i)
	if fault := sound(f.items[i], where, f.limit); fault != nil {
		return nil, fault
	}
	frame, err := schemas.ParseFrame(f.items[i], s.Tenant, f.user, s.NowMS)
	if err != nil {
		return nil, unfit(where, err)
	}
	return frame, nil
}
