package push

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Codes with which a WebSocket is closed.
const (
	codeGoingAway  = websocket.CloseGoingAway       // the node drains
	codeWrongKind  = websocket.CloseUnsupportedData // a binary message
	codePolicy     = websocket.ClosePolicyViolation // too many messages, a revoked key, an expired token
	codeSuperseded = 4409                           // a newer connection of the same user took its place
)

// message is one thing to write: a text, a ping, or a text and the end.
type message struct {
	text []byte
	ping bool
	// code, if set, closes the connection after the text.
	code   int
	reason string
}

// socket is a WebSocket. One goroutine may read while another writes; Close may come from any.
type socket interface {
	// Read returns the next text, within the read limit; it fails when the peer has gone silent, and
	// soon after a message with a code was written.
	Read() ([]byte, error)
	Write(m message) error
	Close() error
}

// upgrader opens sockets. Small buffers and a shared write buffer keep an idle one small; gorilla
// copies out of net/http's own buffers, so that these are freed when the handler returns.
type upgrader struct {
	cfg   Config
	inner websocket.Upgrader
}

func newUpgrader(cfg Config) *upgrader {
	return &upgrader{cfg, websocket.Upgrader{
		HandshakeTimeout: cfg.WriteTimeout, ReadBufferSize: 512, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true }, // the key's origins were checked before
	}}
}

// open answers the request itself when it fails.
func (u *upgrader) open(w http.ResponseWriter, r *http.Request) (socket, error) {
	c, err := u.inner.Upgrade(w, r, nil)
	if err != nil {
		return nil, fmt.Errorf("open a WebSocket: %w", err)
	}
	s := &gorilla{c: c, write: u.cfg.WriteTimeout, silence: 2*u.cfg.PingEvery + u.cfg.WriteTimeout}
	c.SetReadLimit(u.cfg.ReadLimit)
	c.SetPongHandler(func(string) error { return s.alive() })
	return s, s.alive()
}

// gorilla is a socket on gorilla/websocket.
type gorilla struct {
	c              *websocket.Conn
	write, silence time.Duration

	mu     sync.Mutex // guards the read deadline
	ending bool
}

// linger is how long a peer has to answer a goodbye. Closing at once could take the goodbye away
// from a peer whose own messages are unread: the kernel then resets the connection.
const linger = time.Second

// alive gives the peer its time anew, unless the end has begun.
func (s *gorilla) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil
	}
	return s.c.SetReadDeadline(time.Now().Add(s.silence))
}

// Read implements socket.
func (s *gorilla) Read() ([]byte, error) {
	kind, b, err := s.c.ReadMessage()
	if err != nil {
		return nil, err
	}
	if kind != websocket.TextMessage {
		return nil, errors.Join(errors.New("a binary message"), s.Write(message{code: codeWrongKind, reason: "text only"}))
	}
	return b, s.alive()
}

// Write implements socket.
func (s *gorilla) Write(m message) error {
	until := time.Now().Add(s.write)
	if m.ping {
		return s.c.WriteControl(websocket.PingMessage, nil, until)
	}
	if err := s.c.SetWriteDeadline(until); err != nil {
		return err
	}
	if m.text != nil {
		if err := s.c.WriteMessage(websocket.TextMessage, m.text); err != nil {
			return err
		}
	}
	if m.code != 0 {
		return s.end(m.code, m.reason)
	}
	return nil
}

// end says goodbye; the reader hears the peer's answer, or the end of linger.
func (s *gorilla) end(code int, reason string) error {
	s.mu.Lock()
	s.ending = true
	err := s.c.SetReadDeadline(time.Now().Add(linger))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(s.write))
}

// Close implements socket.
func (s *gorilla) Close() error { return s.c.Close() }
