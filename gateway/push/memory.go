package push

import (
	"container/list"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// memory is the actions that were pushed from here, so that a reply finds its campaign and is told
// once. It is bounded: the oldest go first. A reply to a forgotten action carries just ids.
type memory struct {
	most int

	mu   sync.Mutex
	byID map[string]*pushed
	// order is by age, oldest first; swept is where the last sweep stopped.
	order list.List
	swept time.Time
}

// pushed is one action. Its fields are guarded by memory.mu.
type pushed struct {
	id    string
	cmd   Command
	until time.Time
	at    *conn
	// said is a set of replies, first the one that ended the waiting.
	said  uint8
	first string
	// answered is closed with the first reply.
	answered chan struct{}
	place    *list.Element
}

const (
	// keepAfter is how long an action is remembered beyond its expiry.
	keepAfter = time.Minute
	// keepOpen is how long one is remembered that never expires.
	keepOpen = 24 * time.Hour
	// sweepEvery is how often the expired are looked for.
	sweepEvery = 10 * time.Second
)

func newMemory(most int) *memory { return &memory{most: most, byID: map[string]*pushed{}} }

// memoryID joins user and action; neither key nor id holds a zero byte that could confuse two,
// since a reply's user is never the browser's to choose.
func memoryID(key, action string) string { return key + "\x00" + action }

// open remembers the action, or finds it: an Engager that starts again pushes again.
func (m *memory) open(key string, cmd Command, now time.Time) *pushed {
	id := memoryID(key, cmd.Action.ID)
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.byID[id]; p != nil {
		return p
	}
	for len(m.byID) >= m.most {
		m.drop(m.order.Front().Value.(*pushed))
	}
	cmd.Action.Payload = nil // it is on its way; only the ids are needed later
	p := &pushed{id: id, cmd: cmd, until: now.Add(keepOpen), answered: make(chan struct{})}
	if ms := cmd.Action.ExpiresMS; ms > 0 {
		p.until = time.UnixMilli(ms).Add(keepAfter)
	}
	p.place = m.order.PushBack(p)
	m.byID[id] = p
	return p
}

func (m *memory) drop(p *pushed) {
	delete(m.byID, p.id)
	m.order.Remove(p.place)
}

// where returns the connection that has the action, and the reply if there was one.
func (m *memory) where(p *pushed) (at *conn, first string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return p.at, p.first
}

// put says which connection has the action.
func (m *memory) put(p *pushed, at *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.at = at
}

// answer completes d from memory and tells whoever waits. False means that the same reply to the
// same action has been told already.
func (m *memory) answer(key string, d *schemas.Delivery, bit int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.byID[memoryID(key, d.ActionId)]
	if p == nil {
		return true
	}
	if p.said&(1<<bit) != 0 {
		return false
	}
	p.said |= 1 << bit
	if p.first == "" {
		p.first, p.at = d.Status, nil
		close(p.answered)
	}
	d.Campaign, d.Channel, d.MatchId, d.Version, d.Variant = p.cmd.Action.Campaign, p.cmd.Channel, p.cmd.MatchID, p.cmd.Version, p.cmd.Variant
	return true
}

// sweep forgets what is past its time.
func (m *memory) sweep(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.swept) < sweepEvery {
		return
	}
	m.swept = now
	for _, p := range m.byID {
		if now.After(p.until) {
			m.drop(p)
		}
	}
}

// hear takes one message of the browser; what is no reply is passed over.
func (h *Hub) hear(c *conn, b []byte) {
	var r reply
	if json.Unmarshal(b, &r) != nil {
		h.metrics.ignored.Inc()
		return
	}
	if r.Action == "" {
		r.Action = r.Reply // an envelope's id is its action's
	}
	bit := slices.Index(replies(), r.Status)
	if r.Action == "" || len(r.Action) > 2*schemas.MaxIDBytes || bit < 0 {
		h.metrics.ignored.Inc()
		return
	}
	h.mu.Lock()
	h.acts++
	c.active = h.acts
	h.mu.Unlock()
	now := h.now()
	d := &schemas.Delivery{ActionId: r.Action, Tenant: c.user.tenant, User: c.user.id, Status: r.Status, TimeMs: now.UnixMilli()}
	if h.memory.answer(c.user.key, d, bit) {
		h.emit(c.user.key, d, now)
	}
}

func (h *Hub) emit(key string, d *schemas.Delivery, now time.Time) {
	b, err := topics.Deliveries.Codec.Append(nil, d)
	if err != nil {
		h.metrics.lost.Inc()
		return
	}
	h.log.Append(topics.Deliveries.Spec, key, b, now, func(_ int64, err error) {
		if err != nil {
			h.metrics.lost.Inc()
		}
	})
}
