package profile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/schemas"
)

// Function is what a computed trait makes of events.
type Function string

// The functions.
const (
	Count Function = "count"
	Sum   Function = "sum"
	Min   Function = "min"
	Max   Function = "max"
	Avg   Function = "avg"
	// First and Last are the field's value in the first and the last event.
	First Function = "first"
	Last  Function = "last"
	// Distinct is how many different values the field had.
	Distinct Function = "distinct"
	// Decayed is a sum in which an event weighs half after each half-life.
	Decayed Function = "decayed"
	// DaysActive is on how many days, in UTC, there was an event.
	DaysActive Function = "days_active"
	// FirstSeen and LastSeen are the times of the first and the last event, Unix milliseconds.
	FirstSeen Function = "first_seen"
	LastSeen  Function = "last_seen"
	// SinceFirst and SinceLast are the whole seconds since then.
	SinceFirst Function = "since_first"
	SinceLast  Function = "since_last"
)

// Functions are all of them.
func Functions() []Function {
	return []Function{Count, Sum, Min, Max, Avg, First, Last, Distinct, Decayed, DaysActive, FirstSeen, LastSeen, SinceFirst, SinceLast}
}

// Field says whether a function needs a field, and whether it may have one.
func (f Function) Field() (needs, may bool) {
	switch f {
	case Sum, Min, Max, Avg, First, Last, Distinct:
		return true, true
	case Decayed:
		return false, true
	default:
		return false, false
	}
}

// Windowed says whether a function may look at a window only.
func (f Function) Windowed() bool {
	switch f {
	case Decayed, FirstSeen, LastSeen, SinceFirst, SinceLast:
		return false
	default:
		return true
	}
}

// Bounds of computed traits. A definition keeps at most MaxEntries entries of a user: a pane of count
// takes 2 bytes and more, of sum, min, max 9, of avg 10; of first 10 and its value; a value of distinct
// 9. So a trait takes at most 0.4 KiB with panes of 64 numbers (first: 9 KiB), and distinct 1.2 KiB.
const (
	// MaxPanes bounds the panes of a window, MaxDays those of days_active.
	MaxPanes = 64
	MaxDays  = 366
	// MaxDistinct is up to how many different values are counted exactly.
	MaxDistinct = 128
	// MaxEntries is the most of those.
	MaxEntries = MaxDays + 1
	// MaxValueBytes bounds a value of first and last, as JSON; an event with a longer one does not count.
	MaxValueBytes = 128
	// defaultPanes is how many panes there are at most when none are asked for.
	defaultPanes = 32
)

const day = 24 * time.Hour

// Definition is a computed trait. It is never changed and may be used by many goroutines.
type Definition struct {
	// Name is the field of user under which it is read.
	Name string
	// Event that it reads, as campaign steps do, and Where it counts.
	Event string
	Where predicate.Predicate
	Of    Function
	Field predicate.Field
	// Over is the window that ends now; zero: all that ever was. Pane is the width of its panes.
	Over, Pane time.Duration
	// HalfLife of Decayed.
	HalfLife time.Duration
	// ID names what rows depend on.
	ID uint64
}

// widths of panes that come out even.
var widths = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 3 * day, 7 * day, 14 * day,
}

// Ready fills in Pane, unless it is there, and ID.
func (d *Definition) Ready() {
	switch {
	case d.Of == DaysActive:
		d.Pane = day
	case d.Over == 0:
		d.Pane = 0
	case d.Pane == 0:
		for _, w := range widths {
			if d.Pane = w; d.Over <= w*defaultPanes {
				break
			}
		}
	}
	h := sha256.New()
	for _, part := range []string{d.Name, d.Event, d.Where.String(), string(d.Of), d.Field.String(), d.Over.String(), d.Pane.String(), d.HalfLife.String()} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	d.ID = binary.BigEndian.Uint64(h.Sum(nil))
}

// Panes is of how many panes the window consists: the one of now and those before it. So the window
// reaches back by at least Over less one pane and by at most Over, rounded up to whole panes. 0: there
// is no window.
func (d *Definition) Panes() int64 {
	if d.Over == 0 {
		return 0
	}
	return int64((d.Over + d.Pane - 1) / d.Pane)
}

// pane is the number of the pane of a time.
func (d *Definition) pane(ms int64) int64 {
	if d.Pane == 0 {
		return 0
	}
	return ms / d.Pane.Milliseconds()
}

// floor is the first pane of the window.
func (d *Definition) floor(nowMS int64) int64 {
	if d.Over == 0 {
		return 0
	}
	return d.pane(nowMS) - d.Panes() + 1
}

// fits says whether a state has what the function needs; one that no step of it left has not.
func (d *Definition) fits(c *schemas.ComputedTrait) bool {
	n := len(c.Offsets)
	switch d.Of {
	case Count:
		return len(c.Counts) == n
	case Avg:
		return len(c.Counts) == n && len(c.Numbers) == n
	case Sum, Min, Max:
		return len(c.Numbers) == n
	case First:
		return len(c.Values) == n && len(c.TimesMs) == n
	case Last:
		return n <= 1 && len(c.Values) == n && len(c.TimesMs) == n
	case FirstSeen, LastSeen, SinceFirst, SinceLast:
		return n <= 1 && len(c.TimesMs) == n
	case Decayed:
		return n <= 1 && len(c.Numbers) == n && len(c.TimesMs) == n
	case Distinct:
		return len(c.Hashes) == n
	case DaysActive:
	}
	return true
}
