package dispatch

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks/channels"
)

// fakeWay is a Channel whose ways to users the test sets; it delivers nothing.
type fakeWay struct {
	kinds []string
	at    map[string]string
}

func (f *fakeWay) Kinds() []string { return f.kinds }

func (f *fakeWay) Lane(key string) (string, bool) {
	n, ok := f.at[key]
	return n, ok
}

func (f *fakeWay) Deliver(context.Context, *schemas.Action) (channels.Receipt, error) {
	panic("a queue delivers nothing")
}

var epoch = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// at is a time s seconds after epoch.
func at(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

type bench struct {
	*queue
	way  *fakeWay
	next int64
}

func newBench(l limits) *bench {
	way := &fakeWay{kinds: []string{"popup"}, at: map[string]string{}}
	b := &bench{queue: newQueue(l, way), way: way}
	b.assign(0, memory{})
	return b
}

func wide() limits { return limits{waiting: 1000, open: 100, perLane: 100, maxWait: 24 * time.Hour} }

// action adds one for user, which expires at the given second; 0: never.
func (b *bench) action(user string, expires float64) string {
	id := fmt.Sprintf("%s-%d", user, b.next)
	a := &schemas.Action{Id: id, Tenant: "t", User: user, Channel: "popup"}
	if expires > 0 {
		a.ExpiresMs = at(expires).UnixMilli()
	}
	b.add(0, b.next, a, epoch)
	b.next++
	return id
}

func (b *bench) move(user, node string) {
	if node == "" {
		delete(b.way.at, "t/"+user)
	} else {
		b.way.at["t/"+user] = node
	}
	b.moved("t/" + user)
}

func ids(tasks []*task) []string {
	var out []string
	for _, t := range tasks {
		out = append(out, t.action.Id)
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
}

func TestOneAtATimeInOrder(t *testing.T) {
	b := newBench(wide())
	b.move("ann", "n1")
	first, second := b.action("ann", 0), b.action("ann", 0)
	begun := b.take(at(0))
	same(t, "take", ids(begun), []string{first})
	same(t, "take while busy", ids(b.take(at(0))), nil)
	if !b.settle(begun[0], channels.Taken, at(1)) {
		t.Fatal("a taken action is not at its end")
	}
	same(t, "take", ids(b.take(at(1))), []string{second})
}

func TestWaitsForAWayAndGoesAtOnce(t *testing.T) {
	b := newBench(wide())
	id := b.action("ann", 60)
	same(t, "take", ids(b.take(at(0))), nil)
	b.move("ann", "n1")
	same(t, "take", ids(b.take(at(1))), []string{id})
}

func TestAbsentWaitsForTheNextPresence(t *testing.T) {
	b := newBench(wide())
	b.move("ann", "n1")
	b.action("ann", 0)
	one := b.take(at(0))
	b.settle(one[0], channels.Absent, at(0))
	same(t, "take after 404", ids(b.take(at(3600))), nil)
	b.move("ann", "n1")
	again := b.take(at(3601))
	same(t, "take", ids(again), []string{"ann-0"})
	b.move("ann", "n2") // while the node says that she is not there
	b.settle(again[0], channels.Absent, at(3602))
	same(t, "take after a move that came first", ids(b.take(at(3602))), []string{"ann-0"})
}

func TestDeadNodeGetsOneTryAtATime(t *testing.T) {
	b := newBench(wide())
	for i := range 10 {
		user := fmt.Sprintf("u%d", i)
		b.move(user, "dead")
		b.action(user, 0)
	}
	begun := b.take(at(0))
	if len(begun) != 10 {
		t.Fatalf("began %d, want all 10 at a node without a fault", len(begun))
	}
	for _, x := range begun {
		b.settle(x, channels.Down, at(0))
	}
	same(t, "take in the pause", ids(b.take(at(0.05))), nil)
	next, ok := b.queue.next()
	if !ok || !next.Equal(at(0.1)) {
		t.Fatalf("next = %v %v, want the end of a pause of 100 ms: ten failures together are one", next, ok)
	}
	probe := b.take(next)
	if len(probe) != 1 {
		t.Fatalf("began %d, want one probe", len(probe))
	}
	b.settle(probe[0], channels.Down, next)
	same(t, "take in the second pause", ids(b.take(next.Add(199*time.Millisecond))), nil)
	probe = b.take(next.Add(200 * time.Millisecond))
	b.settle(probe[0], channels.Taken, at(1))
	if n := len(b.take(at(1))); n != 9 {
		t.Fatalf("began %d after the node answered, want the other 9", n)
	}
}

func TestSlowNodeLeavesRoomForOthers(t *testing.T) {
	l := wide()
	l.open, l.perLane = 8, 3
	b := newBench(l)
	for i := range 20 {
		b.move(fmt.Sprintf("s%d", i), "slow")
		b.action(fmt.Sprintf("s%d", i), 0)
	}
	if n := len(b.take(at(0))); n != 3 {
		t.Fatalf("began %d at one node, want 3", n)
	}
	b.move("ann", "quick")
	id := b.action("ann", 0)
	same(t, "take", ids(b.take(at(0))), []string{id})
}

func TestFaultyActionHoldsUpOnlyItsUser(t *testing.T) {
	b := newBench(wide())
	b.move("ann", "n1")
	b.move("bob", "n1")
	b.action("ann", 0)
	begun := b.take(at(0))
	b.settle(begun[0], channels.Later, at(0))
	bob := b.action("bob", 0)
	same(t, "take", ids(b.take(at(0))), []string{bob})
	next, _ := b.queue.next()
	if !next.Equal(at(0.1)) {
		t.Fatalf("next = %v", next)
	}
	same(t, "take", ids(b.take(next)), []string{"ann-0"})
}

func TestExpiryTakesFromTheMiddle(t *testing.T) {
	b := newBench(wide())
	keep := b.action("ann", 0)
	gone := b.action("ann", 30)
	last := b.action("ann", 90)
	same(t, "expired early", ids(b.expired(at(29.999), 10)), nil)
	same(t, "expired", ids(b.expired(at(30), 10)), []string{gone})
	b.move("ann", "n1")
	one := b.take(at(31))
	same(t, "take", ids(one), []string{keep})
	b.settle(one[0], channels.Taken, at(31))
	same(t, "take", ids(b.take(at(31))), []string{last})
	same(t, "expired under way", ids(b.expired(at(100), 10)), nil)
}

func TestWithoutExpiryItWaitsTheLongestWait(t *testing.T) {
	b := newBench(wide())
	id := b.action("ann", 0)
	same(t, "expired", ids(b.expired(epoch.Add(24*time.Hour-time.Millisecond), 10)), nil)
	same(t, "expired", ids(b.expired(epoch.Add(24*time.Hour), 10)), []string{id})
}

func TestOverloadGivesUpTheOldest(t *testing.T) {
	l := wide()
	l.waiting = 3
	b := newBench(l)
	for i := range 5 {
		b.action(fmt.Sprintf("u%d", i), 0)
	}
	same(t, "overload", ids(b.overload(1)), []string{"u0-0"})
	same(t, "overload", ids(b.overload(10)), []string{"u1-1"})
	same(t, "overload", ids(b.overload(10)), nil)
	b.move("u2", "n1")
	begun := b.take(at(0)) // what is under way does not wait
	b.action("u5", 0)
	same(t, "overload", ids(b.overload(10)), nil)
	b.settle(begun[0], channels.Absent, at(0))
	same(t, "overload after a failed try", ids(b.overload(10)), []string{"u2-2"})
}

func TestPrefixStopsAtTheFirstUnfinished(t *testing.T) {
	b := newBench(wide())
	for _, u := range []string{"ann", "bob", "cid"} {
		b.action(u, 0)
		b.move(u, "n1")
	}
	begun := b.take(at(0))
	for _, x := range begun {
		b.settle(x, channels.Taken, at(0))
	}
	prefix := func() int64 { return b.parts[0].prefix() }
	if prefix() != 0 {
		t.Fatalf("prefix = %d before any report is in the log", prefix())
	}
	b.finish(begun[1])
	b.finish(begun[2])
	if prefix() != 0 {
		t.Fatalf("prefix = %d, but record 0 is open", prefix())
	}
	b.finish(begun[0])
	marks := b.marks()
	if marks[0].offset != 3 {
		t.Fatalf("marks = %v, want offset 3", marks)
	}
	b.committed(marks)
	if got := b.marks(); len(got) != 0 {
		t.Fatalf("marks = %v after the commit", got)
	}
}

func TestRevokedPartitionIsForgottenAndComesBack(t *testing.T) {
	b := newBench(wide())
	b.move("ann", "n1")
	b.action("ann", 0)
	b.action("bob", 0)
	begun := b.take(at(0))
	b.revoke(0)
	if b.waiting() != 0 || len(b.marks()) != 0 {
		t.Fatalf("waiting %d, marks %v after the partition went", b.waiting(), b.marks())
	}
	b.assign(0, memory{})
	b.next = 0
	again := b.action("ann", 0)
	same(t, "take while the old try is under way", ids(b.take(at(0))), nil)
	if b.settle(begun[0], channels.Down, at(0)) {
		t.Fatal("a failed try of a dropped task is reported")
	}
	same(t, "take", ids(b.take(at(1))), []string{again})
}

func TestUnknownKindIsRefused(t *testing.T) {
	b := newBench(wide())
	if b.add(0, 0, &schemas.Action{Id: "x", Tenant: "t", User: "u", Channel: "pigeon"}, epoch) {
		t.Fatal("added")
	}
}

func TestIdleQueueHoldsNothing(t *testing.T) {
	b := newBench(wide())
	for i := range 100 {
		u := fmt.Sprintf("u%d", i)
		b.move(u, fmt.Sprintf("n%d", i%7))
		b.action(u, 0)
	}
	for _, x := range b.take(at(0)) {
		b.settle(x, channels.Taken, at(0))
		b.finish(x)
	}
	b.take(at(0))
	if len(b.lines)+len(b.lanes)+len(b.turns)+b.age.Len()+len(b.deadlines.rows)+len(b.delayed.rows)+b.parts[0].open.Len() != 0 {
		t.Fatalf("left: %d lines, %d lanes, %d turns", len(b.lines), len(b.lanes), len(b.turns))
	}
}

// TestAnyHistoryKeepsThePromises drives a queue through random histories and holds it against a
// plain record of what was added, tried and ended.
func TestAnyHistoryKeepsThePromises(t *testing.T) {
	for range 20 {
		rapid.Check(t, anyHistory)
	}
}

func anyHistory(t *rapid.T) {
	h := newHistory(t)
	t.Repeat(map[string]func(*rapid.T){
		"add":      h.add,
		"fetch":    h.fetch,
		"move":     h.move,
		"advance":  h.advance,
		"take":     h.take,
		"settle":   h.settle,
		"expire":   h.expire,
		"overload": h.overload,
		"finish":   h.finish,
		"commit":   h.commit,
		"revoke":   h.revoke,
		"":         h.check,
	})
	h.drain(t)
}
