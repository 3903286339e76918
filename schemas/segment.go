package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Limits of one event.
const (
	// MaxEventBytes bounds one event as it comes in.
	MaxEventBytes = 32 << 10
	// MaxNameBytes bounds an event's name.
	MaxNameBytes = 200
)

// Segment is one call in the Segment HTTP shape, which every SDK speaks.
// https://segment.com/docs/connections/spec/common/
type Segment struct {
	Type        string          `json:"type"`
	MessageID   string          `json:"messageId"`
	UserID      string          `json:"userId"`
	AnonymousID string          `json:"anonymousId"`
	PreviousID  string          `json:"previousId"`
	Event       string          `json:"event"`
	Name        string          `json:"name"`
	Timestamp   string          `json:"timestamp"`
	Properties  json.RawMessage `json:"properties"`
	Traits      json.RawMessage `json:"traits"`
	WriteKey    string          `json:"writeKey"`
	Context     struct {
		UserAgent string `json:"userAgent"`
		Page      struct {
			Path     string `json:"path"`
			Referrer string `json:"referrer"`
		} `json:"page"`
		Traits json.RawMessage `json:"traits"`
	} `json:"context"`
}

// eventTypes are the calls that dwell takes.
var eventTypes = map[string]bool{"track": true, "identify": true, "page": true, "screen": true, "group": true, "alias": true}

// Record checks the call and turns it into an Event of the tenant. now is the receive time in Unix
// milliseconds; it stands in for a missing timestamp. All faults are reported at once.
func (s *Segment) Record(tenant string, now int64) (*Event, error) {
	e := &Event{
		Id: s.MessageID, Tenant: tenant, UserId: s.UserID, AnonymousId: s.AnonymousID, PreviousId: s.PreviousID,
		Type: s.Type, Name: s.Type, TimeMs: now, ReceivedMs: now,
		Path: s.Context.Page.Path, Referrer: s.Context.Page.Referrer, UserAgent: s.Context.UserAgent,
	}
	var faults []error
	if s.Type == "track" {
		e.Name = s.Event
	}
	if s.Timestamp != "" {
		at, err := time.Parse(time.RFC3339, s.Timestamp)
		if err != nil {
			faults = append(faults, fmt.Errorf("timestamp: %q is no RFC 3339 time, such as 2026-11-22T17:00:00.000Z", s.Timestamp))
		} else {
			e.TimeMs = at.UnixMilli()
		}
	}
	e.Properties = object("properties", s.Properties, &faults)
	e.Traits = object("traits", s.Traits, &faults)
	if e.Type == "page" {
		e.fillPage()
	}
	return e, errors.Join(append(faults, e.Validate())...)
}

// fillPage takes path and referrer from the properties, where analytics.js also puts them.
func (e *Event) fillPage() {
	if len(e.Properties) == 0 || e.Path != "" && e.Referrer != "" {
		return
	}
	var p struct{ Path, Referrer any }
	if json.Unmarshal(e.Properties, &p) != nil {
		return
	}
	if s, ok := p.Path.(string); ok && e.Path == "" {
		e.Path = s
	}
	if s, ok := p.Referrer.(string); ok && e.Referrer == "" {
		e.Referrer = s
	}
}

// object returns a compacted JSON object, nil for none.
func object(field string, raw json.RawMessage, faults *[]error) []byte {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if raw[0] != '{' {
		*faults = append(*faults, fmt.Errorf("%s: must be a JSON object", field))
		return nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		*faults = append(*faults, fmt.Errorf("%s: %w", field, err))
		return nil
	}
	return b.Bytes()
}

// Validate reports every fault of an event.
func (e *Event) Validate() error {
	var faults []error
	add := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	if !eventTypes[e.Type] {
		add("type: %q is none of track, identify, page, screen, group, alias", e.Type)
	}
	if e.UserId == "" && e.AnonymousId == "" {
		add("userId, anonymousId: one of them must be set")
	}
	if IsAnonymous(e.UserId) {
		add("userId: %q begins with %s, which marks anonymous ids", clip(e.UserId), anonymousMark)
	}
	if len(e.AnonymousId) == MaxIDBytes {
		add("anonymousId: %d bytes, at most %d are taken", MaxIDBytes, MaxIDBytes-len(anonymousMark))
	}
	for _, f := range []struct{ field, value string }{{"userId", e.UserId}, {"anonymousId", e.AnonymousId}, {"messageId", e.Id}, {"previousId", e.PreviousId}} {
		if len(f.value) > MaxIDBytes {
			add("%s: %d bytes, at most %d are taken", f.field, len(f.value), MaxIDBytes)
		}
	}
	switch {
	case e.Type == "track" && e.Name == "":
		add("event: a track call names its event")
	case len(e.Name) > MaxNameBytes:
		add("event: %d bytes, at most %d are taken", len(e.Name), MaxNameBytes)
	}
	return errors.Join(faults...)
}

// User is who keys the event: the user id, else AnonymousUser of the anonymous one.
func (e *Event) User() string {
	if e.UserId != "" {
		return e.UserId
	}
	return AnonymousUser(e.AnonymousId)
}

// Key is the event's key in Kafka.
func (e *Event) Key() string { return Key(e.Tenant, e.User()) }

// EventCodec takes both forms of an event: protobuf, and JSON in the Segment shape with a field
// "tenant", as any Kafka client may produce it. The first byte tells: '{' opens no Event in protobuf.
type EventCodec struct{ Proto[Event, *Event] }

// Decode implements Codec.
func (c EventCodec) Decode(b []byte) (*Event, error) {
	if len(b) == 0 || b[0] != '{' {
		return c.Proto.Decode(b)
	}
	return c.call(b)
}

// Alias is Decode into e, an empty Event or one that was Reset; protobuf is not copied: e lies in the memory
// of b then. What it returns is e, or another Event in the JSON form.
func (c EventCodec) Alias(e *Event, b []byte) (*Event, error) {
	if len(b) > 0 && b[0] == '{' {
		return c.call(b)
	}
	if err := e.UnmarshalVTUnsafe(b); err != nil {
		e.Reset()
		return nil, fmt.Errorf("%w: %T: %w", ErrUndecodable, e, err)
	}
	return e, nil
}

// call decodes the JSON form.
func (EventCodec) call(b []byte) (*Event, error) {
	var s struct {
		Segment
		Tenant string `json:"tenant"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%w: event: %w", ErrUndecodable, err)
	}
	e, err := s.Record(s.Tenant, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: event: %w", ErrUndecodable, err)
	}
	return e, nil
}
