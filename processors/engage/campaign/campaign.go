// Package campaign reads campaign files: YAML goes in, checked and compiled campaigns come out, or
// every fault of the file with its line, its path and what to do about it. A file that asks for
// something that is not built yet is refused, never half obeyed.
package campaign

import (
	"time"

	"github.com/dwellhq/dwell/processors/engage/trigger"
)

// State says what a campaign may do.
type State string

// The states, in the order of a campaign's life.
const (
	Draft State = "draft"
	// Shadow decides and records everything but sends nothing.
	Shadow   State = "shadow"
	Live     State = "live"
	Paused   State = "paused"
	Archived State = "archived"
)

// Decides says whether a campaign in this state looks at events.
func (s State) Decides() bool { return s == Shadow || s == Live }

// Campaign is one document of a campaign file, checked and compiled. It is never changed and may be
// used by many goroutines.
type Campaign struct {
	// Name is unique in its tenant: lower-case letters, digits, '-', '_' and '.'.
	Name string
	Tags []string
	// State is set in every file.
	State   State
	Trigger Trigger
	Reentry trigger.Reentry
	// ExpireAfter is how long after the decision the response may still be shown; zero: for ever.
	ExpireAfter time.Duration
	// Priority: among campaigns that want one slot for one event, the highest wins. -1000 to 1000.
	Priority int32
	// Slot is what campaigns compete for; empty: with none.
	Slot string
	// Channels has exactly one entry in this form.
	Channels []Channel

	// Version is the first 12 hex digits of SHA-256 of Source.
	Version string
	// PatternHash names what rows depend on. Another hash means that a user's progress no longer
	// fits; times, within and allowed_lateness are no part of it.
	PatternHash uint64
	// Source is the document as written; it parses to this campaign again, version and all.
	Source []byte
	// File and Line say where the document starts.
	File string
	Line int
}

// Trigger says which events a campaign reads and when they complete it.
type Trigger struct {
	Pattern Pattern
	// Until are the events that reset the pattern.
	Until []Matcher
	Frame trigger.Frame
	// Clock is EventTime unless the file says otherwise.
	Clock trigger.Clock
}

// Pattern is one kind of pattern; exactly one field is set.
type Pattern struct {
	Count *Count
}

// Count asks for a number of equal events.
type Count struct {
	Of    Matcher
	Times int
}

// Matcher picks events.
type Matcher struct {
	// Event is matched with schemas.Event.Name exactly: the event of a track call, else the call's
	// type, such as page.
	Event string
	Where Predicate
}

// Channel is one way to reach the user.
type Channel struct {
	// Type is popup in this form.
	Type string
	// Content names what to show, e.g. popup/boost50.
	Content string
	// Payload is a JSON object with what the channel shows: title, body, button, link, content.
	Payload []byte
}

// Defaults of a campaign file.
const (
	DefaultAllowedLateness = 30 * time.Second
	DefaultReentry         = trigger.Always
)

// Limits of a campaign file.
const (
	// MaxFileBytes bounds a file, MaxDocumentBytes one document of it.
	MaxFileBytes     = 1 << 20
	MaxDocumentBytes = 64 << 10
	// MaxSpan bounds every duration in a file.
	MaxSpan = 366 * 24 * time.Hour
)
