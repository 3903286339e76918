// Package channels carries actions out to people. What enters is an Action that the Decider took;
// what leaves is one try to deliver it, and what became of that try. Who is asked in which order,
// what is tried again and what is given up is kafka/dispatch's business.
package channels

import (
	"context"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// Channel delivers actions of some kinds. Its methods may be called from many goroutines.
type Channel interface {
	// Kinds are the values of Action.Channel that this channel serves.
	Kinds() []string
	// Lane names the destination that an action for this user (tenant/user) would go to now.
	// Actions of one lane share its fate: when it is down, they wait together. False means that
	// there is no way to the user now; the action waits until one appears or it expires.
	Lane(key string) (lane string, ok bool)
	// Deliver tries once and returns within the channel's own time limit, or when ctx ends. The
	// error says why when the outcome is anything but Taken. A Down whose answer was lost may have
	// delivered all the same: an action may arrive twice, with the same id.
	Deliver(ctx context.Context, a *schemas.Action) (Receipt, error)
}

// Outcome says what became of one try, and so what to do next.
type Outcome string

// The outcomes.
const (
	// Taken: the destination has it; done.
	Taken Outcome = "taken"
	// Absent: the destination does not have this user; wait for another way to the user.
	Absent Outcome = "absent"
	// Down: the destination does not work; send it nothing for a while.
	Down Outcome = "down"
	// Later: the destination works but failed on this action; try this one again later.
	Later Outcome = "later"
	// Refused: no try will ever succeed.
	Refused Outcome = "refused"
)

// Receipt is the answer to one try.
type Receipt struct {
	Outcome Outcome
	// Waited is the part of the try that was spent waiting for the person's answer after the
	// destination had the action; zero when the answer came, or when nothing was waited for.
	Waited time.Duration
}
