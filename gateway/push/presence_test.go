package push

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// simLog is one partition that a schedule drives: appends arrive, acknowledgements come back and
// followers read, each at a moment of its own.
type simLog struct {
	records []simRecord
	waiting []func() // appends that have not arrived
	acks    []func() // arrived, not yet acknowledged
	fail    func() bool
	most    map[string]int // appends under way, by node and key
}

type simRecord struct {
	key   string
	value []byte
}

// simProducer is one node's way to the log.
type simProducer struct {
	log  *simLog
	node string
}

func (p simProducer) Append(_ *topics.Spec, key string, value []byte, _ time.Time, done func(int64, error)) {
	id := p.node + " " + key
	p.log.most[id]++
	if p.log.most[id] > 1 {
		panic("two records of one user are under way from " + id)
	}
	p.log.waiting = append(p.log.waiting, func() {
		if p.log.fail() {
			p.log.acks = append(p.log.acks, func() { p.log.most[id]--; done(-1, errors.New("full")) })
			return
		}
		offset := int64(len(p.log.records))
		p.log.records = append(p.log.records, simRecord{key, value})
		p.log.acks = append(p.log.acks, func() { p.log.most[id]--; done(offset, nil) })
	})
}

// newest is the last record of the key.
func (l *simLog) newest(t *testing.T, key string) *schemas.Presence {
	t.Helper()
	for i := len(l.records) - 1; i >= 0; i-- {
		if r := l.records[i]; r.key == key {
			if r.value == nil {
				return nil
			}
			rec, err := topics.Presences.Codec.Decode(r.value)
			if err != nil {
				t.Fatal(err)
			}
			return rec
		}
	}
	return nil
}

// take removes one of the waiting, the first of them: records of a producer keep their order.
func take(list *[]func(), i int) func() {
	f := (*list)[i]
	*list = append((*list)[:i:i], (*list)[i+1:]...)
	return f
}

// TestPresenceNamesANodeThatHoldsTheUser plays random schedules of two users on two nodes and then
// lets everything come to rest: the topic must name a node that holds the user, and nobody where
// none does.
func TestPresenceNamesANodeThatHoldsTheUser(t *testing.T) {
	seed := rand.Uint64()
	for round := range 3000 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		if fault := presenceRound(t, r); fault != "" {
			t.Fatalf("seed %d round %d: %s", seed, round, fault)
		}
	}
}

func presenceRound(t *testing.T, r *rand.Rand) string {
	failing := true
	log := &simLog{most: map[string]int{}, fail: func() bool { return failing && r.IntN(5) == 0 }}
	now := func() time.Time { return time.Unix(1, 0) }
	nodes := []*presence{newPresence("http://a", simProducer{log, "a"}, now), newPresence("http://b", simProducer{log, "b"}, now)}
	read, held, keys := []int{0, 0}, []map[string]bool{{}, {}}, []string{"t/u", "t/v"}
	step := func(i, n int) {
		switch n {
		case 0, 1:
			key := keys[r.IntN(2)]
			if held[i][key] {
				nodes[i].offline(key)()
			} else {
				nodes[i].online(key, "t", key[2:])()
			}
			held[i][key] = !held[i][key]
		case 2, 3:
			if len(log.waiting) > 0 {
				take(&log.waiting, r.IntN(len(log.waiting)))()
			}
		case 4, 5:
			if len(log.acks) > 0 {
				take(&log.acks, r.IntN(len(log.acks)))()
			}
		case 6, 7:
			if read[i] < len(log.records) {
				rec := log.records[read[i]]
				nodes[i].told(kafka.Entry{Key: rec.key, Value: rec.value, At: schemas.Coordinates{Offset: int64(read[i])}})
				read[i]++
			}
		case 8:
			nodes[i].again()
		}
	}
	for range 60 {
		step(r.IntN(2), r.IntN(9))
	}
	failing = false
	for n := 0; len(log.waiting)+len(log.acks)+len(nodes[0].late)+len(nodes[1].late) > 0 || read[0] < len(log.records) || read[1] < len(log.records); n++ {
		if n > 10_000 {
			return "it does not come to rest"
		}
		step(r.IntN(2), 2+r.IntN(7))
	}
	for _, key := range keys {
		at := log.newest(t, key)
		a, b := held[0][key], held[1][key]
		switch {
		case at == nil && (a || b):
			return fmt.Sprintf("%s is held (a %v, b %v) and looks offline", key, a, b)
		case at == nil, at.Node == "http://a" && a, at.Node == "http://b" && b:
		default:
			return fmt.Sprintf("%s is said to be at %s (a %v, b %v)", key, at.Node, a, b)
		}
	}
	for i, n := range nodes {
		for key := range n.users {
			if !held[i][key] {
				return fmt.Sprintf("node %d still remembers %s", i, key)
			}
		}
	}
	return ""
}

func TestComingAndGoingWhileKafkaIsAwayCostsOneRecord(t *testing.T) {
	log := &simLog{most: map[string]int{}, fail: func() bool { return false }}
	p := newPresence("http://a", simProducer{log, "a"}, time.Now)
	for range 100 {
		p.online("t/u", "t", "u")()
		p.offline("t/u")()
	}
	p.online("t/u", "t", "u")()
	for len(log.waiting)+len(log.acks) > 0 {
		if len(log.waiting) > 0 {
			take(&log.waiting, 0)()
		}
		take(&log.acks, 0)()
	}
	if n := len(log.records); n > 2 || log.newest(t, "t/u") == nil {
		t.Errorf("%d records, newest %v", n, log.newest(t, "t/u"))
	}
}

func TestNoTombstoneCoversAnotherNodesPresence(t *testing.T) {
	log := &simLog{most: map[string]int{}, fail: func() bool { return false }}
	a, b := newPresence("http://a", simProducer{log, "a"}, time.Now), newPresence("http://b", simProducer{log, "b"}, time.Now)
	rest := func() {
		for len(log.waiting) > 0 {
			take(&log.waiting, 0)()
			take(&log.acks, 0)()
		}
	}
	a.online("t/u", "t", "u")()
	rest()
	b.online("t/u", "t", "u")()
	rest()
	for i, rec := range log.records {
		a.told(kafka.Entry{Key: rec.key, Value: rec.value, At: schemas.Coordinates{Offset: int64(i)}})
	}
	a.offline("t/u")()
	rest()
	if len(log.records) != 2 || len(a.users) != 0 {
		t.Errorf("%d records, newest %v; a remembers %d users", len(log.records), log.newest(t, "t/u"), len(a.users))
	}
}
