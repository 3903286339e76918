// Package campaign reads campaign files: YAML goes in, checked and compiled campaigns, audiences and
// traits come out, or every fault of the file with its line, its path and what to do about it. A file that asks for
// something that is not built yet is refused, never half obeyed.
package campaign

import (
	"time"

	"github.com/dwellhq/dwell/processors/engage/predicate"
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
	State State
	// Audience says who may get it; nil: everybody.
	Audience *Admission
	Trigger  Trigger
	Reentry  trigger.Reentry
	Response
	// Priority: among campaigns that want one slot for one event, the highest wins. -1000 to 1000.
	Priority int32
	// Slot is what campaigns compete for; empty: with none.
	Slot string
	// Channels has exactly one entry in this form.
	Channels []Channel

	// Version is the first 12 hex digits of SHA-256 of Source.
	Version string
	// PatternHash names what rows depend on. Another hash means that a user's progress no longer
	// fits; times, within, gap and allowed_lateness are no part of it, unless the trigger starts over
	// with every edit.
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
	// Correlate splits a user's events: each of its values has a pattern of its own. None: one
	// pattern for all events.
	Correlate predicate.Field
	// StartsOver says that every edit of the trigger makes users start over, on_edit: reset.
	StartsOver bool
}

// Matcher picks events.
type Matcher struct {
	// Event is matched with schemas.Event.Name exactly: the event of a track call, else the call's
	// type, such as page.
	Event string
	Where predicate.Predicate
}

// Channel is one way to reach the user.
type Channel struct {
	// Type is popup in this form.
	Type string
	// Content names what to show, e.g. popup/boost50.
	Content string
	// Payload is a JSON object with what the channel shows: title, body, button, link, content.
	Payload []byte
	// Variants are shown instead to the users of a variant of the experiment; who has none here gets
	// the channel's own.
	Variants []VariantContent
}

// VariantContent is what one variant of an experiment shows.
type VariantContent struct {
	Name    string
	Content string
	Payload []byte
}

// Shows is the content and the payload for a user of a variant.
func (c *Channel) Shows(variant string) (content string, payload []byte) {
	for i := range c.Variants {
		if v := &c.Variants[i]; v.Name == variant {
			return v.Content, v.Payload
		}
	}
	return c.Content, c.Payload
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
