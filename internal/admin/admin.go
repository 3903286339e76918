// Package admin is the listener for operators that every role has: health, readiness, metrics,
// status and profiles. What enters are functions that answer for the role; what leaves is HTTP on a
// port that must not be reachable from outside.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Server answers /healthz, /readyz, /metrics, /status and /debug/pprof/. Fill the fields before the
// first call; a Server runs once.
type Server struct {
	// Addr is host:port; port 0 takes a free one, see Address.
	Addr string
	// Ready returns nil when the role does its work, else why not. Nil means always ready. It is
	// called for every probe, from many goroutines, and must answer at once.
	Ready func() error
	// Status returns what /status shows as JSON; nil means an empty object. As Ready, it is called
	// from many goroutines.
	Status func() any
	// Metrics gathers what /metrics shows; nil means nothing. What can be gathered is shown even when
	// some of it cannot.
	Metrics prometheus.Gatherer

	mu       sync.Mutex // guards what follows
	listener net.Listener
	stopping bool
}

// Limits of the listener. A profile runs for 30 s by default and may be asked for up to two minutes.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 2*time.Minute + 10*time.Second
	idleTimeout   = time.Minute
	stopTimeout   = 2 * time.Second
	headerBytes   = 16 << 10
)

// Listen binds the address, so that a taken port is known, and Address set, before the role starts.
// Calling it is optional; a second call does nothing.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen for operators on %s: %w; choose another admin address", s.Addr, err)
	}
	s.listener = l
	return nil
}

// Address is the bound host:port; empty before Listen.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until ctx ends, then answers what is under way, for at most two seconds, and returns
// nil. Start it first and end it last: readiness turns false when ctx ends, and a role is alive for
// as long as it answers here.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	srv := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve operators on %s: %w", s.Address(), err)
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := srv.Shutdown(late)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close() // a profile may still be running; it is worth less than an orderly end
	}
	if was := <-served; !errors.Is(was, http.ErrServerClosed) {
		err = errors.Join(err, was)
	}
	if err != nil {
		return fmt.Errorf("stop serving operators: %w", err)
	}
	return nil
}

// NewRegistry makes a registry for one role. Register the role's own metrics with the returned
// Registerer: like those of the Go runtime and the process, they get the constant label role.
func NewRegistry(role string) (*prometheus.Registry, prometheus.Registerer) {
	reg := prometheus.NewRegistry()
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"role": role}, reg)
	labelled.MustRegister(runtimeCollectors()...)
	return reg, labelled
}
