package dispatch

import (
	"container/list"
	"time"

	"github.com/dwellhq/dwell/sinks/channels"
)

// Pauses after a failure double from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// lastRetry is the longest pause before one action is tried again at a destination that works.
	lastRetry = 30 * time.Second
)

func pause(failures int, longest time.Duration) time.Duration {
	if failures > 16 {
		return longest
	}
	return min(firstPause<<max(failures-1, 0), longest)
}

// laneID names a destination of one channel.
type laneID struct {
	route int
	name  string
}

// lane is one destination: the users who are to be reached there, and whether it works. A lane has
// its own share of the concurrency, so that a slow destination holds up nobody else; a dead one
// gets one try at a time.
type lane struct {
	id       laneID
	ready    list.List // of *line, in the order in which they became ready
	open     int       // tries under way
	failures int       // in a row
	until    time.Time // no try before this
}

func (l *lane) free(now time.Time, perLane int) bool {
	if l.ready.Len() == 0 || now.Before(l.until) {
		return false
	}
	return l.open < perLane && (l.failures == 0 || l.open == 0)
}

// heard takes note of how a try ended.
func (l *lane) heard(o channels.Outcome, now time.Time) {
	l.open--
	switch {
	case o != channels.Down:
		l.failures, l.until = 0, time.Time{}
	case !now.Before(l.until): // tries that were under way together fail together: they count as one
		l.failures++
		l.until = now.Add(pause(l.failures, lastPause))
	}
}

// lineID names one user's line at one channel.
type lineID struct {
	route int
	key   string
}

// line is what waits for one user, in the log's order; only its head is tried. It is in one of four
// states: busy (its head is under way), ready (in its lane), delayed (until a time), or waiting for
// a way to the user.
type line struct {
	id    lineID
	tasks list.List // of *task
	busy  bool
	moved bool // the user's way changed while the line was busy
	lane  *lane
	// inLane is set while ready, delay while delayed.
	inLane *list.Element
	delay  *entry[*line]
}

func (l *line) head() *task { return l.tasks.Front().Value.(*task) }
