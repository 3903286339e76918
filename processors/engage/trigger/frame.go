// Package trigger holds the pattern machines and the gates of a campaign: relevant events and a
// user's state go in, the next state and what came of it come out. It knows neither files nor
// records, and the only time it knows is what it is given, in Unix milliseconds.
package trigger

import "time"

// Frame is the time frame that patterns share.
type Frame struct {
	// Within is the longest span of a match, inclusive: last − first ≤ Within. Of a tumbling window
	// it is the length.
	Within time.Duration
	// AllowedLateness is how far behind the highest time an event may be and still be taken.
	AllowedLateness time.Duration
	// AfterMatch says what a match uses up; empty means SkipPastLast. An aggregate and an absence
	// do not ask it.
	AfterMatch AfterMatch
	// Window; empty means Sliding.
	Window Window
	// Gap is the longest pause in a session, inclusive; Session only.
	Gap time.Duration
	// Strict asks for events that follow each other directly: every event of the user that is taken
	// between two of a match breaks it. Count and Sequence only.
	Strict bool
}

// AfterMatch says which events a match consumes. A consumed event never matches again.
type AfterMatch string

// The ways to go on after a match.
const (
	// SkipPastLast consumes everything up to the match's last event.
	SkipPastLast AfterMatch = "skip_past_last"
	// SkipToNext consumes only the match's first event.
	SkipToNext AfterMatch = "skip_to_next"
)

// Window says which events may lie in one match. Within bounds all of them.
type Window string

// The windows.
const (
	// Sliding: any that span no more than Within.
	Sliding Window = "sliding"
	// Tumbling: those of one of the spans [k·Within, (k+1)·Within) since 1970-01-01T00:00Z.
	Tumbling Window = "tumbling"
	// Session: those without a pause of more than Gap between the pattern's events.
	Session Window = "session"
)

// Clock says which time of an event a pattern goes by.
type Clock string

// The clocks.
const (
	// EventTime is when the event happened by the client.
	EventTime Clock = "event"
	// IngestTime is the record's time; by it no event is late.
	IngestTime Clock = "ingest"
)

// holds says whether a match may reach from one entry to another.
func (f *Frame) holds(s *State, first, last int) bool {
	from, to := s.TimesMS[first], s.TimesMS[last]
	switch within := f.Within.Milliseconds(); {
	case to-from > within:
		return false
	case f.Window == Tumbling:
		return from/max(within, 1) == to/max(within, 1)
	case f.Window == Session:
		for i := first + 1; i <= last; i++ {
			if s.TimesMS[i]-s.TimesMS[i-1] > f.Gap.Milliseconds() {
				return false
			}
		}
	}
	return true
}

// start is the first entry of the window that ends with the entry last.
func (f *Frame) start(s *State, last int) int {
	gap, first := f.Gap.Milliseconds(), last
	for first > 0 && s.TimesMS[last]-s.TimesMS[first-1] <= f.Within.Milliseconds() {
		if f.Window == Session && s.TimesMS[first]-s.TimesMS[first-1] > gap {
			break
		}
		if f.Window == Tumbling && !f.holds(s, first-1, last) {
			break
		}
		first--
	}
	return first
}
