package push

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Via is what a connection came in by; the connection ends when that does.
type Via struct {
	// Key is the hash of the write key.
	Key [32]byte
	// Expires is when the token expires; the zero time: there was none.
	Expires time.Time
}

// Log takes records for Kafka.
type Log interface {
	// Append takes a record without waiting, and calls done once from another goroutine, with the
	// record's offset when all in-sync replicas hold it, or an error when they never will.
	Append(topic *topics.Spec, key string, value []byte, at time.Time, done func(offset int64, err error))
}

// Hub is every connection of a node. It may be used by many goroutines.
//
// A user may have several connections here (tabs), up to Config.MaxPerUser; an action goes to the
// one that last opened or answered. One more connection supersedes the one that was quiet longest.
type Hub struct {
	cfg      Config
	now      func() time.Time
	log      Log
	up       *upgrader
	metrics  *metrics
	memory   *memory
	presence *presence

	wg sync.WaitGroup // readers and writers of connections

	mu       sync.Mutex
	users    map[string]*user
	wheel    [beats]map[*conn]struct{}
	count    int
	acts     uint64
	draining bool
}

// beats is how many parts the connections are split in, so that they are not all asked at once.
const beats = 25

// user is who has connections here. Its fields are guarded by hub.mu.
type user struct {
	key, tenant, id string
	conns           []*conn
}

// New makes the hub of the node whose internal listener has the base URL node.
func New(cfg Config, node string, log Log, reg prometheus.Registerer, now func() time.Time) (*Hub, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	h := &Hub{cfg: cfg, now: now, log: log, up: newUpgrader(cfg), metrics: m, users: map[string]*user{}}
	h.memory, h.presence = newMemory(cfg.Remember), newPresence(node, log, now)
	for i := range h.wheel {
		h.wheel[i] = map[*conn]struct{}{}
	}
	return h, nil
}

// Connect opens the channel of a tenant's user, whom the caller has checked. It answers the request,
// or returns a *answer.Fault to answer with; the connection outlives the request.
func (h *Hub) Connect(w http.ResponseWriter, r *http.Request, tenant, id string, via Via) error {
	h.mu.Lock()
	full := h.draining || h.count >= h.cfg.MaxConnections
	if !full {
		h.count++ // the place is taken before the handshake, or many handshakes would pass the limit
		h.wg.Add(1)
	}
	h.mu.Unlock()
	if full {
		return answer.Busy("this node takes no more connections", time.Duration(1+rand.IntN(5))*time.Second)
	}
	sock, err := h.up.open(w, r)
	if err != nil {
		h.mu.Lock()
		h.count--
		h.mu.Unlock()
		h.wg.Done()
		return nil //nolint:nilerr // the upgrader has answered
	}
	c := &conn{hub: h, sock: sock, via: via, gone: make(chan struct{})}
	c.send(message{text: welcome(h.now().UnixMilli())})
	h.metrics.connections.Inc()
	h.join(c, tenant, id)
	go func() { // a goroutine of its own, so that net/http's buffers go
		defer h.wg.Done()
		c.read()
	}()
	return nil
}

// join makes the connection one of its user's.
func (h *Hub) join(c *conn, tenant, id string) {
	key, tell := schemas.Key(tenant, id), func() {}
	h.mu.Lock()
	u := h.users[key]
	if u == nil {
		u = &user{key: key, tenant: tenant, id: id}
		h.users[key] = u
		tell = h.presence.online(key, tenant, id)
	}
	var quiet *conn
	if len(u.conns) >= h.cfg.MaxPerUser {
		quiet = slices.MinFunc(u.conns, func(a, b *conn) int { return cmp.Compare(a.active, b.active) })
		u.conns = slices.DeleteFunc(u.conns, func(o *conn) bool { return o == quiet })
	}
	h.acts++
	c.user, c.active, c.slot = u, h.acts, int(h.acts%beats)
	u.conns = append(u.conns, c)
	h.wheel[c.slot][c] = struct{}{}
	draining := h.draining
	h.mu.Unlock()
	tell()
	if quiet != nil {
		quiet.end(codeSuperseded, "a newer connection took its place", superseded)
	}
	if draining { // it began during the handshake: the drain may have passed this one by
		c.end(codeGoingAway, "draining", retryAfterDrain())
	}
}

// superseded is how long a tab stays away when its user has too many: long, or the tabs would throw
// each other out for ever.
const superseded = 5 * time.Minute

// leave forgets a connection that has ended.
func (h *Hub) leave(c *conn) {
	c.cut()
	tell := func() {}
	h.mu.Lock()
	delete(h.wheel[c.slot], c)
	h.count--
	u := c.user
	u.conns = slices.DeleteFunc(u.conns, func(o *conn) bool { return o == c })
	if len(u.conns) == 0 && h.users[u.key] == u {
		delete(h.users, u.key)
		tell = h.presence.offline(u.key)
	}
	h.mu.Unlock()
	tell()
	h.metrics.connections.Dec()
	close(c.gone)
}
