package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// workerProc is a worker's place: its processes come and go.
type workerProc struct {
	cfg    workerConfig
	log    string
	cmd    *exec.Cmd // nil while none is meant to run
	alive  io.Closer // stdin: its end ends the worker
	exited chan struct{}
}

// start starts a process; the one before must be gone.
func (w *workerProc) start() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start worker %s: %w", w.cfg.Instance, err)
	}
	cfg, err := json.Marshal(w.cfg)
	if err != nil {
		return fmt.Errorf("start worker %s: %w", w.cfg.Instance, err)
	}
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start worker %s: %w", w.cfg.Instance, err)
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"="+string(cfg))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start worker %s: %w", w.cfg.Instance, err)
	}
	exited := make(chan struct{})
	w.cmd, w.alive, w.exited = cmd, alive, exited
	go func() { // each way to an end waits for exited
		_ = cmd.Wait() // ProcessState has it
		close(exited)
	}()
	return nil
}

// gone says whether the process has ended.
func (w *workerProc) gone() bool {
	select {
	case <-w.exited:
		return true
	default:
		return false
	}
}

// kill is kill -9. It says whether there was a living one to kill.
func (w *workerProc) kill() bool {
	if w.cmd == nil {
		return false
	}
	lived := !w.gone()
	_ = w.cmd.Process.Kill() // an error says that it is gone
	<-w.exited
	w.cmd = nil
	_ = w.alive.Close() // nobody reads any more
	return lived
}

// signal sends a signal to a living process.
func (w *workerProc) signal(s syscall.Signal) error {
	if err := w.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal worker %s: %w", w.cfg.Instance, err)
	}
	return nil
}

// leave is SIGTERM: the worker must end in order, within a time.
func (w *workerProc) leave(ctx context.Context) error {
	if err := w.signal(syscall.SIGTERM); err != nil {
		return err
	}
	return w.ends(ctx, 30*time.Second, "")
}

// ends waits until the process has ended by itself: with success when why is empty, else with an error
// that says why.
func (w *workerProc) ends(ctx context.Context, limit time.Duration, why string) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.exited:
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("worker %s did not end within %v; its log:\n%s", w.cfg.Instance, limit, tail(w.log))
	}
	ok := w.cmd.ProcessState.Success() || why == "" && unborn(w.cmd.ProcessState)
	w.kill()
	last := tail(w.log)
	switch {
	case why == "" && !ok:
		return fmt.Errorf("worker %s did not end in order; its log:\n%s", w.cfg.Instance, last)
	case why != "" && (ok || !strings.Contains(last, why)):
		return fmt.Errorf("worker %s ended without saying %q; its log:\n%s", w.cfg.Instance, why, last)
	}
	return nil
}

// unborn says that SIGTERM came before the process could listen for it, milliseconds after its start: it
// has done nothing yet, and the system ended it.
func unborn(s *os.ProcessState) bool {
	status, ok := s.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// crew makes the workers' places.
func (t *torture) crew() {
	for i := range t.o.workers {
		name := fmt.Sprintf("w%d", i)
		t.workers = append(t.workers, &workerProc{
			cfg: workerConfig{Brokers: t.addrs, Instance: name, Dir: filepath.Join(t.dir, name), Stack: t.o.stack},
			log: filepath.Join(t.dir, name+".log"),
		})
	}
}

// revive starts who is not there. One that ended by itself is told of: nothing that we do, and do not
// expect to end a worker, should.
func (t *torture) revive() error {
	for _, w := range t.workers {
		if w.cmd != nil && w.gone() {
			t.deaths++
			fmt.Fprintf(t.o.out, "torture: worker %s ended by itself; its log:\n%s\n", w.cfg.Instance, tail(w.log))
			w.kill()
		}
		if w.cmd == nil {
			if err := w.start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// tail is the end of a log.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-16_000):])
}

// wait waits d, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
