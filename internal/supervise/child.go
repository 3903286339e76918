package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The environment names the inherited descriptors; Child removes the names, so
// that a grandchild does not take them for its own.
const (
	envAlive = "DWELL_SUPERVISE_ALIVE_FD"
	envReady = "DWELL_SUPERVISE_READY_FD"
	envLock  = "DWELL_SUPERVISE_LOCK_FD"
	envGrace = "DWELL_SUPERVISE_GRACE_MS"
)

// Handle is a child's side of the supervision. Its methods are safe from any
// goroutine.
type Handle struct {
	done chan struct{}

	mu    sync.Mutex
	ready *os.File
}

// Child takes over what a supervisor handed to this process. Call it once, at
// the start, before other processes are started: until then they would inherit
// the descriptors. In a process that no supervisor started the handle is
// inert: Done never closes and Ready does nothing.
//
// After Done has closed the process has the StopTimeout of its Spec to end by
// itself; then Child kills it. So no child outlives its supervisor for longer.
func Child() *Handle {
	h := &Handle{done: make(chan struct{})}
	alive, ok := inherited(envAlive)
	ready, okReady := inherited(envReady)
	_, _ = inherited(envLock) // stays open, and the lock held, until this process is gone
	grace, err := strconv.Atoi(os.Getenv(envGrace))
	_ = os.Unsetenv(envGrace)
	if !ok || !okReady || err != nil {
		return h
	}
	h.ready = os.NewFile(uintptr(ready), "supervisor-ready")
	go h.await(os.NewFile(uintptr(alive), "supervisor-alive"), time.Duration(grace)*time.Millisecond)
	return h
}

// inherited returns the descriptor that name gives, closed in whatever this
// process starts.
func inherited(name string) (int, bool) {
	fd, err := strconv.Atoi(os.Getenv(name))
	_ = os.Unsetenv(name)
	if err != nil || fd < 3 {
		return 0, false
	}
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) != nil {
		return 0, false
	}
	syscall.CloseOnExec(fd)
	return fd, true
}

// await never returns before the supervisor is gone: nobody writes into alive.
func (h *Handle) await(alive *os.File, grace time.Duration) {
	var b [1]byte
	_, _ = alive.Read(b[:])
	close(h.done)
	time.AfterFunc(grace, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
}

// Done closes when the supervisor is gone, however it ended. A child then
// stops as it does on SIGTERM.
func (h *Handle) Done() <-chan struct{} { return h.done }

// Context returns a child of ctx that also ends when the supervisor is gone.
func (h *Handle) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-h.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Ready tells the supervisor that this child does its work, with facts about
// it such as addresses. A later call replaces the facts. Set up the handling of
// SIGTERM before: it may come right after.
func (h *Handle) Ready(facts map[string]string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ready == nil {
		return nil
	}
	if facts == nil {
		facts = map[string]string{}
	}
	line, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("report ready: %w", err)
	}
	if _, err := h.ready.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("report ready to the supervisor: %w", err)
	}
	return nil
}
