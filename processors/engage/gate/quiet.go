package gate

import (
	"fmt"
	"time"
)

// MaxZoneBytes bounds the name of a time zone.
const MaxZoneBytes = 64

// day is the length of the clock's face; a day of the calendar may be longer or shorter.
const day = 24 * time.Hour

// Hours are the quiet hours of each day, by the clock on the wall: quiet is every moment at which it
// shows From or later and not yet To. From after To goes over midnight; they are never equal.
type Hours struct {
	// From and To are times since midnight, from 0 to below 24 h.
	From, To time.Duration
	// Zone is where the clock hangs; nil: where the user is.
	Zone *time.Location
	// Cancel drops a response in quiet hours; else it waits for their end.
	Cancel bool
}

// End says whether now is quiet and when that ends: the first moment after now that is not quiet. A
// clock that is put forward over To ends them at that moment; one that is put back to before To
// makes them come again. user is the user's zone, nil: UTC.
func (h Hours) End(now time.Time, user *time.Location) (time.Time, bool) {
	zone := h.Zone
	if zone == nil {
		zone = user
	}
	if zone == nil {
		zone = time.UTC
	}
	at := now.In(zone)
	if !h.quiet(face(at)) {
		return now, false
	}
	for {
		// By the present offset from UTC, this is when the clock shows To. Where the offset changes
		// before, the clock is read again.
		to := at.Add((h.To - face(at) + day) % day)
		_, changes := at.ZoneBounds()
		if changes.IsZero() || to.Before(changes) {
			return to.UTC(), true
		}
		if at = changes.In(zone); !h.quiet(face(at)) {
			return at.UTC(), true
		}
	}
}

// quiet says whether the hours hold when the clock shows t.
func (h Hours) quiet(t time.Duration) bool {
	if h.From < h.To {
		return h.From <= t && t < h.To
	}
	return h.From <= t || t < h.To
}

// face is what the clock on the wall shows.
func face(t time.Time) time.Duration {
	h, m, s := t.Clock()
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(t.Nanosecond())
}

// Zone is the time zone of an IANA name such as Europe/London. The process must carry time/tzdata,
// or its system the same data.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" || len(name) > MaxZoneBytes { // Local is another on every machine
		return nil, fmt.Errorf("%.*q is no time zone", MaxZoneBytes, name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no time zone that is known here", name)
	}
	return zone, nil
}
