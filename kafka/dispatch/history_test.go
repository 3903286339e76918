package dispatch

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks/channels"
)

// history is a plain account of one queue's life.
type history struct {
	q     *queue
	way   *fakeWay
	now   time.Time
	limit limits
	logs  [3][]*record // by partition
	pos   [3]int       // by partition: the record to be read next
	under []*task      // under way
	ended []*task      // reported, not finished
	// committed is what the group holds, by partition.
	committed [3]mark
}

// record is what the log says about one offset.
type record struct {
	id       string
	user     string
	expires  time.Time
	mine     *task // as this ownership of the partition knows it
	ends     int   // reports in this ownership
	finished bool  // in any ownership
	tried    int
	known    bool // as finished, from the commit
}

func newHistory(t *rapid.T) *history {
	l := limits{
		waiting: rapid.IntRange(1, 12).Draw(t, "waiting"), open: rapid.IntRange(1, 5).Draw(t, "open"),
		perLane: rapid.IntRange(1, 3).Draw(t, "perLane"), maxWait: time.Hour,
	}
	way := &fakeWay{kinds: []string{"popup"}, at: map[string]string{}}
	h := &history{q: newQueue(l, way), way: way, now: epoch, limit: l}
	for p := range h.logs {
		h.q.assign(int32(p), memory{})
	}
	return h
}

// partitionOf a user is fixed, as in Kafka.
func partitionOf(user int) int { return user % 3 }

func (h *history) add(t *rapid.T) {
	user := rapid.IntRange(0, 5).Draw(t, "user")
	p := partitionOf(user)
	r := &record{id: fmt.Sprintf("%d/%d", p, len(h.logs[p])), user: fmt.Sprint(user), expires: h.now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "ttl")) * time.Second)}
	h.logs[p] = append(h.logs[p], r)
}

// fetch reads on in one partition.
func (h *history) fetch(t *rapid.T) {
	p := rapid.IntRange(0, 2).Draw(t, "partition")
	for range rapid.IntRange(1, 3).Draw(t, "records") {
		h.read(p)
	}
}

// read gives the next record of partition p to the queue.
func (h *history) read(p int) {
	i := h.pos[p]
	if i == len(h.logs[p]) {
		return
	}
	h.pos[p]++
	r := h.logs[p][i]
	if h.q.known(int32(p), int64(i)) {
		r.known = true
		return
	}
	h.q.add(int32(p), int64(i), &schemas.Action{Id: r.id, Tenant: "t", User: r.user, Channel: "popup", ExpiresMs: r.expires.UnixMilli()}, h.now)
	r.mine = h.q.parts[int32(p)].open.Back().Value.(*task)
	r.ends, r.known = 0, false
}

func (h *history) recordOf(x *task) *record {
	for _, log := range h.logs {
		for _, r := range log {
			if r.id == x.action.Id {
				return r
			}
		}
	}
	return nil
}

func (h *history) move(t *rapid.T) {
	key := fmt.Sprintf("t/%d", rapid.IntRange(0, 5).Draw(t, "user"))
	delete(h.way.at, key)
	if n := rapid.IntRange(0, 3).Draw(t, "node"); n > 0 {
		h.way.at[key] = fmt.Sprintf("n%d", n)
	}
	h.q.moved(key)
}

func (h *history) advance(t *rapid.T) {
	h.now = h.now.Add(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
}

func (h *history) take(t *rapid.T) {
	for _, x := range h.q.take(h.now) {
		h.begun(t, x)
	}
}

// begun demands that x is the user's first unfinished action and the only one under way.
func (h *history) begun(t *rapid.T, x *task) {
	r := h.recordOf(x)
	for _, other := range h.under {
		if other.action.User == r.user {
			t.Fatalf("%s began while %s of the same user is under way", r.id, other.action.Id)
		}
	}
	for _, before := range h.logs[x.part.number(h.q)] {
		if before == r {
			break
		}
		if before.user == r.user && before.ends == 0 && !before.finished {
			t.Fatalf("%s began before %s of the same user", r.id, before.id)
		}
	}
	if _, ok := h.way.at["t/"+r.user]; !ok {
		t.Fatalf("%s began without a way to its user", r.id)
	}
	r.tried++
	h.under = append(h.under, x)
}

func (p *partition) number(q *queue) int32 {
	for n, part := range q.parts {
		if part == p {
			return n
		}
	}
	return -1
}

func (h *history) settle(t *rapid.T) {
	if len(h.under) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.under)-1).Draw(t, "which")
	outcome := rapid.SampledFrom([]channels.Outcome{channels.Taken, channels.Absent, channels.Down, channels.Later, channels.Refused}).Draw(t, "outcome")
	h.settleAs(t, i, outcome)
}

func (h *history) settleAs(t *rapid.T, i int, o channels.Outcome) {
	x := h.under[i]
	h.under = append(h.under[:i], h.under[i+1:]...)
	want := o == channels.Taken || o == channels.Refused
	if got := h.q.settle(x, o, h.now); got != want {
		t.Fatalf("settle(%s, %s) = %v", x.action.Id, o, got)
	}
	if want {
		h.end(t, x)
	}
}

// end takes note of a report.
func (h *history) end(t *rapid.T, x *task) {
	h.ended = append(h.ended, x)
	if r := h.recordOf(x); r.mine == x {
		if r.ends++; r.ends > 1 {
			t.Fatalf("%s ended twice", r.id)
		}
	}
}

func (h *history) expire(t *rapid.T) {
	for _, x := range h.q.expired(h.now, rapid.IntRange(0, 5).Draw(t, "n")) {
		if h.now.Before(h.recordOf(x).expires) {
			t.Fatalf("%s expired early", x.action.Id)
		}
		h.end(t, x)
	}
}

func (h *history) overload(t *rapid.T) {
	for _, x := range h.q.overload(rapid.IntRange(0, 5).Draw(t, "n")) {
		h.end(t, x)
	}
}

func (h *history) finish(t *rapid.T) {
	if len(h.ended) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.ended)-1).Draw(t, "which")
	h.finishAt(i)
}

func (h *history) finishAt(i int) {
	x := h.ended[i]
	h.ended = append(h.ended[:i], h.ended[i+1:]...)
	h.q.finish(x)
	h.recordOf(x).finished = true
}

// commit takes over what some partitions' queue says of itself.
func (h *history) commit(t *rapid.T) {
	marks := h.q.marks()
	for p, m := range marks {
		if rapid.Bool().Draw(t, "answered") {
			h.committed[p] = m
		} else {
			delete(marks, p)
		}
	}
	h.q.committed(marks)
}

// revoke takes a partition away and gives it to another, who starts at the last commit.
func (h *history) revoke(t *rapid.T) {
	p := rapid.IntRange(0, 2).Draw(t, "partition")
	h.q.revoke(int32(p))
	for _, r := range h.logs[p] {
		r.mine = nil
	}
	was := h.committed[p]
	m, err := decodeMemory(was.offset, was.meta)
	if err != nil {
		t.Fatal(err)
	}
	h.q.assign(int32(p), m)
	h.pos[p] = int(was.offset)
}

func (h *history) check(t *rapid.T) {
	if h.q.open != len(h.under) || h.q.open > h.limit.open {
		t.Fatalf("open = %d, %d are under way, at most %d may be", h.q.open, len(h.under), h.limit.open)
	}
	for _, l := range h.q.lanes {
		if l.open > h.limit.perLane {
			t.Fatalf("%d under way at %s", l.open, l.id.name)
		}
	}
	waiting := 0
	for p, log := range h.logs {
		prefix := h.q.parts[int32(p)].prefix()
		for i, r := range log {
			if (int64(i) < prefix || r.known) && !r.finished {
				t.Fatalf("%s is not finished, but the prefix of its partition is %d and known is %v", r.id, prefix, r.known)
			}
			if r.mine != nil && r.ends == 0 && !h.underWay(r.mine) {
				waiting++
			}
		}
	}
	if h.q.waiting() != waiting {
		t.Fatalf("waiting = %d, want %d", h.q.waiting(), waiting)
	}
}

func (h *history) underWay(x *task) bool {
	for _, u := range h.under {
		if u == x {
			return true
		}
	}
	return false
}

// drain brings everybody back and lets every try succeed: then all must come to its end, without a
// hint but next.
func (h *history) drain(t *rapid.T) {
	for p := range h.logs {
		for h.pos[p] < len(h.logs[p]) {
			h.read(p)
		}
	}
	for u := range 6 {
		key := fmt.Sprintf("t/%d", u)
		h.way.at[key] = "n1"
		h.q.moved(key)
	}
	for range 10_000 {
		for len(h.under) > 0 {
			h.settleAs(t, 0, channels.Taken)
		}
		for len(h.ended) > 0 {
			h.finishAt(0)
		}
		h.take(t)
		if len(h.under) > 0 {
			continue
		}
		at, ok := h.q.next()
		if !ok {
			break
		}
		if at.After(h.now) {
			h.now = at
		}
		for _, x := range h.q.expired(h.now, 100) {
			h.end(t, x)
		}
	}
	h.check(t)
	if h.q.waiting() != 0 || len(h.q.lines) != 0 {
		t.Fatalf("%d actions and %d lines are stuck", h.q.waiting(), len(h.q.lines))
	}
	for p, log := range h.logs {
		if got := max(h.committed[p].offset, h.q.parts[int32(p)].prefix()); got != int64(len(log)) {
			t.Fatalf("prefix of partition %d is %d, the log ends at %d", p, got, len(log))
		}
		for _, r := range log {
			if !r.finished {
				t.Fatalf("%s was lost", r.id)
			}
		}
	}
}
