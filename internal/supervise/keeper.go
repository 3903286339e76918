package supervise

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	healthyAfter = 30 * time.Second
	mostFailures = 5
)

// keeper keeps one child running. Its run loop belongs to one goroutine; state
// is guarded by the supervisor's mutex.
type keeper struct {
	spec     Spec
	sup      *Supervisor
	needs    []*keeper
	neededBy []*keeper

	firstReady chan struct{} // closed when the child was ready for the first time
	gone       chan struct{} // closed when no process of this child will run again

	state ChildState
}

// outcome is how one process of the child ended.
type outcome struct {
	wasReady bool
	healthy  time.Duration // how long it was ready
	timedOut bool          // killed because it was not ready in time
	err      error
	tail     string
}

// run returns nil when ctx ended and an error when the child was given up. In
// both cases no process of the child is left.
func (k *keeper) run(ctx context.Context) error {
	for _, n := range k.needs {
		select {
		case <-n.firstReady:
		case <-ctx.Done():
			return nil
		}
	}
	pause, failures, everReady := firstPause, 0, false
	for ctx.Err() == nil {
		out := k.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		everReady = everReady || out.wasReady
		failures++
		if out.wasReady {
			failures = 0
		}
		if failures >= mostFailures || (out.timedOut && !everReady) {
			return k.giveUp(out, failures)
		}
		if out.healthy >= healthyAfter {
			pause = firstPause
		}
		k.sup.emit(Event{Child: k.spec.Name, Kind: Exited, Pause: pause, Err: out.err})
		if !k.rest(ctx, pause) {
			return nil
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}

func (k *keeper) giveUp(out outcome, failures int) error {
	err := fmt.Errorf("start child %s: ended %d times in a row before it was ready: %w", k.spec.Name, failures, out.err)
	if out.timedOut {
		err = fmt.Errorf("start child %s: %w", k.spec.Name, out.err)
	}
	if out.tail != "" {
		err = fmt.Errorf("%w; the end of its log %s:\n%s", err, k.spec.Log, out.tail)
	}
	k.sup.emit(Event{Child: k.spec.Name, Kind: GaveUp, Err: err})
	return err
}

// rest waits for pause and counts the restart; false means ctx ended first.
func (k *keeper) rest(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	k.update(func(c *ChildState) { c.Restarts++ })
	return true
}

// once runs one process of the child from its start to its end.
func (k *keeper) once(ctx context.Context) outcome {
	p, err := start(k.spec, k.sup.Lock, k.report)
	if err != nil {
		return outcome{err: err}
	}
	k.update(func(c *ChildState) { c.Pid, c.Since = p.pid, time.Now() })
	defer k.update(func(c *ChildState) { c.Pid, c.Ready, c.Since = 0, false, time.Time{} })
	k.sup.emit(Event{Child: k.spec.Name, Kind: Started, Pid: p.pid})

	timedOut := k.watch(ctx, p)
	out := outcome{timedOut: timedOut, err: p.err, tail: p.log.tail()}
	if timedOut {
		out.err = fmt.Errorf("not ready within %s", k.spec.ReadyTimeout)
	} else if out.err == nil {
		out.err = errors.New("exit status 0")
	}
	select {
	case <-p.ready:
		out.wasReady, out.healthy = true, time.Since(p.readyAt)
	default:
	}
	return out
}

// watch returns when p is gone; true means it was killed for not being ready
// in time.
func (k *keeper) watch(ctx context.Context, p *process) bool {
	late := time.NewTimer(k.spec.ReadyTimeout)
	defer late.Stop()
	ready := p.ready
	for {
		select {
		case <-ready:
			ready = nil
			late.Stop()
		case <-p.exited:
			return false
		case <-ctx.Done():
			k.stop(p)
			return false
		case <-late.C:
			if ready == nil {
				continue // the timer fired while the report was on its way
			}
			p.kill()
			<-p.exited
			return true
		}
	}
}

// report takes what the child said with Child.Ready. It runs on the process's
// reader, before p.exited closes.
func (k *keeper) report(pid int, facts map[string]string, first bool) {
	k.update(func(c *ChildState) { c.Ready, c.Facts = true, facts })
	select {
	case <-k.firstReady:
	default:
		close(k.firstReady)
	}
	if first {
		k.sup.emit(Event{Child: k.spec.Name, Kind: Ready, Pid: pid})
	}
}

// stop ends p once everything that needs it is gone. A child that dies while
// it waits for that is not started again.
func (k *keeper) stop(p *process) {
	for _, n := range k.neededBy {
		<-n.gone
	}
	k.sup.emit(Event{Child: k.spec.Name, Kind: Stopping, Pid: p.pid})
	p.signal(syscall.SIGTERM)
	t := time.NewTimer(k.spec.StopTimeout)
	defer t.Stop()
	select {
	case <-p.exited:
	case <-t.C:
		k.sup.emit(Event{Child: k.spec.Name, Kind: Killed, Pid: p.pid})
		p.kill()
		<-p.exited
	}
	k.sup.emit(Event{Child: k.spec.Name, Kind: Stopped, Pid: p.pid, Err: p.err})
}

func (k *keeper) update(change func(*ChildState)) {
	k.sup.mu.Lock()
	defer k.sup.mu.Unlock()
	change(&k.state)
}
