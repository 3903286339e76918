// Package trigger holds the pattern machines and the gates of a campaign: relevant events and a
// user's state go in, the next state and what came of it come out. It knows neither files nor
// records, and the only time it knows is what it is given, in Unix milliseconds.
package trigger

import "time"

// Frame is the time frame that patterns share.
type Frame struct {
	// Within is the longest span of a match, inclusive: last − first ≤ Within.
	Within time.Duration
	// AllowedLateness is how far behind the highest time an event may be and still be taken.
	AllowedLateness time.Duration
	// AfterMatch says what a match uses up; empty means SkipPastLast.
	AfterMatch AfterMatch
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

// Clock says which time of an event a pattern goes by.
type Clock string

// The clocks.
const (
	// EventTime is when the event happened by the client.
	EventTime Clock = "event"
	// IngestTime is the record's time; by it no event is late.
	IngestTime Clock = "ingest"
)

// Event is one event that a campaign reads.
type Event struct {
	ID string
	// TimeMS is the event's time on the campaign's clock; not negative.
	TimeMS int64
	// Resets says that the event breaks the pattern, Counts that it is a part of it. An event that
	// does both breaks it first.
	Resets, Counts bool
}

// Match is a completed pattern.
type Match struct {
	// EventIDs are the match's events by (time, arrival).
	EventIDs []string
	// FirstMS and LastMS are the times of the first and the last of them.
	FirstMS, LastMS int64
	// Reusable says that the match's last event was not consumed and may end another match.
	Reusable bool
}

// Outcome is what came of one event.
type Outcome struct {
	// Late says that the event was older than allowed and left the state as it was.
	Late bool
	// Match is nil when the event completed nothing.
	Match *Match
}
