package push

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// presence tells Kafka who is connected here, without anybody waiting for it. Of each user at most
// one record is under way; what changes meanwhile is told when that is through, so a browser that
// comes and goes while Kafka is slow costs one record, not many. What is held is bounded by the
// users who are connected, and those who were told of and left.
//
// A user may be connected to two nodes. The newest record wins. When a user's last connection here
// goes, the tombstone is written only if our record is the newest that was seen; when another node's
// tombstone covers a user who is connected here, we tell of them again. What remains: a node may
// write its tombstone while another node's record is on its way to it. For that moment the user
// looks offline; the other node then sees the tombstone and tells again.
type presence struct {
	node string
	boot string // of this process: sessions of different processes differ
	log  Log
	now  func() time.Time

	mu    sync.Mutex
	seq   uint64
	users map[string]*mark
	late  map[string]bool // what could not be told
}

// mark is what is known of one user.
type mark struct {
	want *schemas.Presence // nil: gone
	// ours is the session that our newest record tells of, at its offset; empty: none, or a tombstone.
	ours   string
	offset int64
	// theirs is the offset of the newest record of another node; tomb says that it is a tombstone.
	theirs int64
	tomb   bool
	busy   bool
}

func newPresence(node string, log Log, now func() time.Time) *presence {
	return &presence{node: node, boot: rand.Text()[:12], log: log, now: now, users: map[string]*mark{}, late: map[string]bool{}}
}

// online says that the user has a first connection here. What it returns is to be called at once,
// without any lock.
func (p *presence) online(key, tenant, id string) (tell func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.users[key]
	if m == nil {
		m = &mark{offset: -1, theirs: -1}
		p.users[key] = m
	}
	p.seq++
	m.want = &schemas.Presence{Tenant: tenant, User: id, Node: p.node, Session: fmt.Sprintf("%s-%d", p.boot, p.seq), SinceMs: p.now().UnixMilli()}
	return p.settle(key, m)
}

// offline says that the user's last connection here is gone; it returns as online does.
func (p *presence) offline(key string) (tell func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.users[key]
	m.want = nil
	return p.settle(key, m)
}

// told takes a record of the topic, ours or another node's.
func (p *presence) told(e kafka.Entry) {
	p.mu.Lock()
	tell := func() {}
	if m := p.users[e.Key]; m != nil && !p.isOurs(e.Value) {
		m.theirs, m.tomb = e.At.Offset, e.Value == nil
		tell = p.settle(e.Key, m)
	}
	p.mu.Unlock()
	tell()
}

// isOurs: our own tombstones cannot be told apart by their bytes; their offsets do it in settle.
func (p *presence) isOurs(value []byte) bool {
	if value == nil {
		return false
	}
	rec, err := topics.Presences.Codec.Decode(value)
	return err == nil && len(rec.Session) > len(p.boot) && rec.Session[:len(p.boot)] == p.boot
}

// settle returns what is to be done about the user, to be called without mu.
func (p *presence) settle(key string, m *mark) (tell func()) {
	covered := m.theirs > m.offset // another node has spoken since
	switch {
	case m.busy:
	case m.want != nil && (m.ours != m.want.Session || covered && m.tomb):
		want := m.want
		b, err := topics.Presences.Codec.Append(nil, want)
		if err != nil {
			return func() {} // a Presence always encodes
		}
		m.busy = true
		return p.telling(key, b, want.Session)
	case m.want != nil:
	case m.ours != "" && !covered:
		m.busy = true
		return p.telling(key, nil, "")
	default:
		delete(p.users, key)
		delete(p.late, key)
	}
	return func() {}
}

// telling writes one record, and settles again when it is through.
func (p *presence) telling(key string, value []byte, session string) func() {
	return func() {
		p.log.Append(topics.Presences.Spec, key, value, p.now(), func(offset int64, err error) {
			p.mu.Lock()
			m := p.users[key]
			m.busy = false
			if err != nil {
				p.late[key] = true
				p.mu.Unlock()
				return
			}
			delete(p.late, key)
			m.ours, m.offset = session, offset
			tell := p.settle(key, m)
			p.mu.Unlock()
			tell()
		})
	}
}

// again tells what could not be told.
func (p *presence) again() {
	var tell []func()
	p.mu.Lock()
	for key := range p.late {
		delete(p.late, key)
		if m := p.users[key]; m != nil {
			tell = append(tell, p.settle(key, m))
		}
	}
	p.mu.Unlock()
	for _, f := range tell {
		f()
	}
}
