package engage

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// MaxAhead is how far an event's time may be ahead of its record's. Patterns step an event beyond
// it at the record's time; else one client with a wrong clock would make all that follows late.
const MaxAhead = 24 * time.Hour

// maxTimeMS is the end of the year 9999.
const maxTimeMS = 253402300799999

// onEvent counts an event once and lets the campaigns that read it decide.
func onEvent(t *turn, e *schemas.Event) {
	complete(t, e)
	if err := check(t.Key, e); err != nil {
		t.Same()
		refuse(t, e.Id[:min(len(e.Id), schemas.MaxIDBytes)], err)
		return
	}
	if !firstSeen(t.State, eventHash(e.Id), t.Now) {
		t.Same()
		emit(t, &schemas.Verdict{Verdict: Duplicate, EventId: e.Id, EventTimeMs: e.TimeMs}, t.At.String(), nil)
		return
	}
	defer watch(t) // the event may leave something that waits
	processors.EmitFact(t, topics.Facts, factOf(e, t.At))
	if e.Type == "identify" {
		rememberZone(t.State, e.Traits)
	}
	if e.Type == "identify" || e.Type == "alias" {
		return // profiles will read them; no campaign does
	}
	decide(t, e)
}

// complete fills in what a producer may leave out: the id is the record's coordinates, the times
// are the record's.
func complete(t *turn, e *schemas.Event) {
	if e.Id == "" {
		e.Id = t.At.String()
	}
	if e.ReceivedMs == 0 {
		e.ReceivedMs = t.Now.UnixMilli()
	}
	if e.TimeMs == 0 {
		e.TimeMs = e.ReceivedMs
	}
}

// check says why an event cannot be this key's.
func check(key string, e *schemas.Event) error {
	var faults []error
	tenant, user := schemas.SplitKey(key)
	if tenant != e.Tenant || user != e.User() || !strings.Contains(key, "/") {
		faults = append(faults, fmt.Errorf("key: %q is not %q", key, e.Key()))
	}
	if e.TimeMs < 0 || e.TimeMs > maxTimeMS {
		faults = append(faults, fmt.Errorf("time: %d ms is not between 1970 and 9999", e.TimeMs))
	}
	if err := e.Validate(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// factOf is the event as it counts.
func factOf(e *schemas.Event, at schemas.Coordinates) *schemas.Fact {
	return &schemas.Fact{
		EventID: e.Id, Tenant: e.Tenant, User: e.User(), Type: e.Type, Name: e.Name,
		TimeMS: e.TimeMs, ReceivedMS: e.ReceivedMs, N: 1,
		Path: e.Path, Referrer: e.Referrer, UserAgent: e.UserAgent, Address: e.Address, Source: e.Source,
		Properties: e.Properties, At: at,
	}
}
