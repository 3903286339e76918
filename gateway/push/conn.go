package push

import (
	"sync"
	"time"
)

// conn is one open connection of a user.
type conn struct {
	hub  *Hub
	sock socket
	user *user
	via  Via
	slot int // of the hub's wheel
	// active is the hub's count at the last sign of the user; guarded by hub.mu.
	active uint64
	// gone is closed when the connection has ended.
	gone chan struct{}

	mu      sync.Mutex
	queue   []message
	writing bool // a goroutine is at the queue
	ending  bool // nothing more is taken

	// second and heard count the messages of one second; they belong to the reading goroutine.
	second int64
	heard  int
}

// send queues m; false means that the connection is ending. A peer that lets the queue fill up is
// too slow: it is cut off, and comes back when it can.
func (c *conn) send(m message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return false
	}
	if len(c.queue) >= c.hub.cfg.Queue {
		c.ending, c.queue = true, nil
		c.hub.metrics.slow.Inc()
		c.sock.Close() //nolint:errcheck // the reader hears of it
		return false
	}
	c.push(m)
	return true
}

// ping asks whether the peer lives. One that has yet to take what is queued is asked by that.
func (c *conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ending && !c.writing {
		c.push(message{ping: true})
	}
}

// end says goodbye after what is queued, and closes. Only the first end counts.
func (c *conn) end(code int, reason string, retry time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return
	}
	c.push(message{text: goodbye(retry), code: code, reason: reason})
	c.ending = true
}

// push starts the writer if there is none: an idle connection has no goroutine but its reader. The
// caller holds mu, and either the connection's reader runs or the hub has counted it in; so the
// hub's wait group is above zero.
func (c *conn) push(m message) {
	c.queue = append(c.queue, m)
	if !c.writing {
		c.writing = true
		c.hub.wg.Go(c.write)
	}
}

// write empties the queue and returns.
func (c *conn) write() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.writing, c.queue = false, nil
			c.mu.Unlock()
			return
		}
		m := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		if err := c.sock.Write(m); err != nil {
			c.cut()
		}
	}
}

// cut ends the connection at once.
func (c *conn) cut() {
	c.mu.Lock()
	c.ending, c.queue = true, nil
	c.mu.Unlock()
	c.sock.Close() //nolint:errcheck // the reader hears of it
}

// read hands what the browser says to the hub until the connection ends.
func (c *conn) read() {
	defer c.hub.leave(c)
	for talking := true; ; {
		b, err := c.sock.Read()
		if err != nil {
			return
		}
		if !talking || !c.mayTalk() {
			talking = false // what comes until the goodbye is answered is not listened to
			c.end(codePolicy, "too many messages", talkedTooMuch)
			continue
		}
		c.hub.hear(c, b)
	}
}

// talkedTooMuch is how long a browser should stay away that sent too many messages.
const talkedTooMuch = time.Minute

func (c *conn) mayTalk() bool {
	if s := c.hub.now().Unix(); s != c.second {
		c.second, c.heard = s, 0
	}
	c.heard++
	return c.heard <= c.hub.cfg.Messages
}
