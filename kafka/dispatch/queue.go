package dispatch

import (
	"container/list"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks/channels"
)

// queue decides which action is tried when. It starts nothing, reads no clock and may not be used
// by two goroutines at once.
type queue struct {
	channels []channels.Channel
	routes   map[string]int // by kind: index in channels
	limits   limits

	parts     map[int32]*partition
	lines     map[lineID]*line
	lanes     map[laneID]*lane
	turns     []*lane // every lane, in the order of their turns
	turn      int
	age       list.List // of *task: what waits, oldest first
	deadlines agenda[*task]
	delayed   agenda[*line]
	open      int // tries under way
}

// limits bound a queue.
type limits struct {
	waiting int           // actions that wait
	open    int           // tries at once
	perLane int           // tries at once at one destination
	maxWait time.Duration // from the record's time
}

func newQueue(l limits, chans ...channels.Channel) *queue {
	q := &queue{channels: chans, routes: map[string]int{}, limits: l, parts: map[int32]*partition{}, lines: map[lineID]*line{}, lanes: map[laneID]*lane{}}
	for i, c := range chans {
		for _, kind := range c.Kinds() {
			q.routes[kind] = i
		}
	}
	return q
}

func (q *queue) waiting() int { return q.age.Len() }

// assign begins a partition where a predecessor, who knew before, left it.
func (q *queue) assign(p int32, before memory) { q.parts[p] = &partition{before: before} }

// part is a partition that is ours.
func (q *queue) part(p int32) *partition {
	if q.parts[p] == nil {
		q.assign(p, memory{})
	}
	return q.parts[p]
}

// known says that a predecessor finished the record that was just read: nothing is left to do.
func (q *queue) known(p int32, offset int64) bool {
	part := q.part(p)
	if !part.before.finished(offset) {
		return false
	}
	part.pass(offset)
	return true
}

// track takes note of a record that is not for a channel; it is open until finish.
func (q *queue) track(p int32, offset int64, a *schemas.Action) *task {
	t := &task{action: a, offset: offset}
	q.part(p).start(t)
	return t
}

// add queues an action, logged at the time since, behind what waits for its user. False means that no
// channel serves its kind and nothing was done.
func (q *queue) add(p int32, offset int64, a *schemas.Action, since time.Time) bool {
	route, ok := q.routes[a.Channel]
	if !ok {
		return false
	}
	t := q.track(p, offset, a)
	t.expires = since.Add(q.limits.maxWait)
	if at := time.UnixMilli(a.ExpiresMs); a.ExpiresMs > 0 && at.Before(t.expires) {
		t.expires = at
	}
	id := lineID{route, schemas.Key(a.Tenant, a.User)}
	l := q.lines[id]
	if l == nil {
		l = &line{id: id}
		q.lines[id] = l
	}
	t.line, t.inLine = l, l.tasks.PushBack(t)
	q.wait(t, false)
	if l.inLane == nil && l.delay == nil {
		q.place(l)
	}
	return true
}

// wait counts t among what waits: as the youngest, or the oldest when it did so before.
func (q *queue) wait(t *task, again bool) {
	if again {
		t.inAge = q.age.PushFront(t)
	} else {
		t.inAge = q.age.PushBack(t)
	}
	t.deadline = q.deadlines.add(t.expires, t)
}

func (q *queue) unwait(t *task) {
	if t.inAge != nil {
		q.age.Remove(t.inAge)
		q.deadlines.remove(t.deadline)
		t.inAge, t.deadline = nil, nil
	}
}

// remove takes t out of its line.
func (q *queue) remove(t *task) {
	q.unwait(t)
	l := t.line
	head := l.head() == t
	l.tasks.Remove(t.inLine)
	if l.busy {
		return
	}
	if l.tasks.Len() == 0 || head && l.delay != nil { // the delay was that of the head
		q.place(l)
	}
}

// place puts a line that is not busy where it belongs now.
func (q *queue) place(l *line) {
	if l.busy {
		return
	}
	q.detach(l)
	if l.tasks.Len() == 0 {
		delete(q.lines, l.id)
		return
	}
	name, ok := q.channels[l.id.route].Lane(l.id.key)
	if !ok {
		return
	}
	id := laneID{l.id.route, name}
	if q.lanes[id] == nil {
		q.lanes[id] = &lane{id: id}
		q.turns = append(q.turns, q.lanes[id])
	}
	l.lane = q.lanes[id]
	l.inLane = l.lane.ready.PushBack(l)
}

func (q *queue) detach(l *line) {
	if l.inLane != nil {
		l.lane.ready.Remove(l.inLane)
		l.inLane = nil
	}
	if l.delay != nil {
		q.delayed.remove(l.delay)
		l.delay = nil
	}
}

// moved says that the way to a user (tenant/user) may have changed.
func (q *queue) moved(key string) {
	for route := range q.channels {
		if l := q.lines[lineID{route, key}]; l != nil {
			l.moved = true
			q.place(l)
		}
	}
}

// take returns the heads that are to be tried now, and counts them as under way.
func (q *queue) take(now time.Time) []*task {
	for e := q.delayed.first(); e != nil && !now.Before(e.at); e = q.delayed.first() {
		q.place(e.value)
	}
	var out []*task
	for idle := 0; len(q.turns) > 0 && idle < len(q.turns) && q.open < q.limits.open; q.turn++ {
		q.turn %= len(q.turns)
		l := q.turns[q.turn]
		if !l.free(now, q.limits.perLane) {
			idle++
			continue
		}
		idle = 0
		out = append(out, q.begin(l))
	}
	q.sweep(now)
	return out
}

func (q *queue) begin(la *lane) *task {
	l := la.ready.Front().Value.(*line)
	q.detach(l)
	l.busy, l.moved = true, false
	la.open++
	q.open++
	t := l.head()
	q.unwait(t)
	return t
}

// sweep forgets destinations that nobody needs and that have nothing to be remembered.
func (q *queue) sweep(now time.Time) {
	kept := q.turns[:0]
	for _, l := range q.turns {
		if l.ready.Len() == 0 && l.open == 0 && !now.Before(l.until) {
			delete(q.lanes, l.id)
			continue
		}
		kept = append(kept, l)
	}
	clear(q.turns[len(kept):])
	q.turns = kept
}

// settle takes the outcome of a try. True means that the task is at its end and is to be reported;
// otherwise it waits again.
func (q *queue) settle(t *task, o channels.Outcome, now time.Time) bool {
	l := t.line
	l.lane.heard(o, now)
	q.open--
	l.busy = false
	if o == channels.Taken || o == channels.Refused || t.dropped {
		q.remove(t)
		q.place(l)
		return o == channels.Taken || o == channels.Refused
	}
	q.wait(t, true)
	switch {
	case o == channels.Down || l.moved:
		q.place(l)
	case o == channels.Later:
		t.tries++
		l.delay = q.delayed.add(now.Add(pause(t.tries, lastRetry)), l)
	}
	return false
}

// expired takes out at most n tasks whose time has come.
func (q *queue) expired(now time.Time, n int) []*task {
	var out []*task
	for e := q.deadlines.first(); e != nil && !now.Before(e.at) && len(out) < n; e = q.deadlines.first() {
		q.remove(e.value)
		out = append(out, e.value)
	}
	return out
}

// overload takes out at most n tasks, oldest first, for as long as too many wait.
func (q *queue) overload(n int) []*task {
	var out []*task
	for q.age.Len() > q.limits.waiting && len(out) < n {
		t := q.age.Front().Value.(*task)
		q.remove(t)
		out = append(out, t)
	}
	return out
}

// next is when take or expired has something to do that nothing else announces; false for never.
func (q *queue) next() (time.Time, bool) {
	var at time.Time
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if e := q.deadlines.first(); e != nil {
		earlier(e.at)
	}
	if e := q.delayed.first(); e != nil {
		earlier(e.at)
	}
	for _, l := range q.turns {
		if l.ready.Len() > 0 && l.open == 0 && l.failures > 0 {
			earlier(l.until)
		}
	}
	return at, !at.IsZero()
}

// finish says that what became of t is in the log.
func (q *queue) finish(t *task) { t.part.finish(t) }

// marks are what to commit, by partition, where something changed.
func (q *queue) marks() map[int32]mark {
	out := map[int32]mark{}
	for p, part := range q.parts {
		if part.changes > part.saved {
			out[p] = part.mark()
		}
	}
	return out
}

// committed says that marks were committed.
func (q *queue) committed(marks map[int32]mark) {
	for p, m := range marks {
		if part := q.parts[p]; part != nil {
			part.saved = max(part.saved, m.changes)
		}
	}
}

// revoke drops what waits of a partition. What is under way goes on; its end no longer counts here.
func (q *queue) revoke(p int32) {
	part := q.parts[p]
	if part == nil {
		return
	}
	delete(q.parts, p)
	for e := part.open.Front(); e != nil; e = e.Next() {
		t := e.Value.(*task)
		t.dropped = true
		if t.inAge != nil {
			q.remove(t)
		}
	}
}
