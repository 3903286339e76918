// Package child runs the processes of a bench: stacks and brokers, each in a process of its own, told
// what to do by its command line and asked for its figures over its standard input. What enters is a
// command; what leaves are answers and how it ended.
package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Message is a line from a child to the measuring process: an answer to a mark, the broker's
// addresses, or how the child's work failed.
type Message struct {
	CPUNS int64 `json:"cpu_ns,omitempty"`
	// Allocs since the child began; nil where it does not count them.
	Allocs *uint64  `json:"allocs,omitempty"`
	Addrs  []string `json:"addrs,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// Process is a child: a stack, or the broker. It ends when its standard input does, so it does not
// outlive this process.
type Process struct {
	name     string
	cmd      *exec.Cmd
	in       io.WriteCloser
	messages chan Message
	log      *tail
	exited   chan struct{}
	err      error // how it ended; valid once exited is closed
}

// stopTime is how long a child may take to end in order.
const stopTime = 20 * time.Second

// Start runs argv in dir. Standard error is kept for the report of a failure.
func Start(name, dir string, argv []string) (*Process, error) {
	p := &Process{name: name, cmd: exec.Command(argv[0], argv[1:]...), messages: make(chan Message, 4), log: &tail{}, exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stderr = dir, p.log
	// Ctrl-C is for the measuring process, which ends its children in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go p.follow(out)
	return p, nil
}

// follow reads what the child says, then reaps it. A message that nobody waits for is dropped.
func (p *Process) follow(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var m Message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue // a library's own line
		}
		select {
		case p.messages <- m:
		default:
		}
	}
	p.err = p.cmd.Wait()
	close(p.exited)
}

// Receive waits for a message; a child that failed or ended is an error.
func (p *Process) Receive(ctx context.Context) (Message, error) {
	select {
	case m := <-p.messages:
		if m.Error != "" {
			return m, fmt.Errorf("%s failed: %s%s", p.name, m.Error, p.log.said())
		}
		return m, nil
	case <-p.exited:
		return Message{}, p.death()
	case <-ctx.Done():
		return Message{}, context.Cause(ctx)
	}
}

// Alive is an error once the child has failed or ended.
func (p *Process) Alive() error {
	select {
	case <-p.exited:
		return p.death()
	case m := <-p.messages:
		if m.Error != "" {
			return fmt.Errorf("%s failed: %s%s", p.name, m.Error, p.log.said())
		}
	default:
	}
	return nil
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Reaped is how the process ended; only after Stop.
func (p *Process) Reaped() *os.ProcessState { return p.cmd.ProcessState }

// Said is the end of what the process wrote to standard error, to add to an error; empty when nothing
// was written.
func (p *Process) Said() string { return p.log.said() }

func (p *Process) death() error {
	cause := p.err
	if cause == nil {
		cause = errors.New("it ended by itself")
	}
	return fmt.Errorf("%s ended: %w%s", p.name, cause, p.log.said())
}

// Mark asks the child what it has used so far.
func (p *Process) Mark(ctx context.Context) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := io.WriteString(p.in, "mark\n"); err != nil {
		return Message{}, errors.Join(fmt.Errorf("ask %s for its figures: %w", p.name, err), p.Alive())
	}
	return p.Receive(ctx)
}

// Stop ends the child in order; one that does not end is killed and reported.
func (p *Process) Stop() error {
	_ = p.in.Close() // it may have ended before
	limit := time.NewTimer(stopTime)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-limit.C:
		_ = p.cmd.Process.Kill() // it may just have ended
		<-p.exited
		return fmt.Errorf("stop %s: killed, as it did not end within %v%s", p.name, stopTime, p.log.said())
	}
	if p.err != nil {
		return fmt.Errorf("stop %s: %w%s", p.name, p.err, p.log.said())
	}
	return nil
}

// PeakRSS is the most memory that a living process had resident, bytes; 0 where the system does not say.
func PeakRSS(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// ReapedRSS is what the system says of a process that has ended. On Linux it counts the parent's memory
// at the start too, so PeakRSS goes before it.
func ReapedRSS(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin":
		return u.Maxrss
	}
	return u.Maxrss << 10
}

// CPU is the CPU time that a process used, in the kernel's ticks of 10 ms; 0 where it is not told.
func CPU(pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The program's name, in parentheses, may hold anything.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	end []byte
}

const tailBytes = 4096

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b...)
	t.end = t.end[max(0, len(t.end)-tailBytes):]
	return len(b), nil
}

// said is the end, to add to an error; empty when nothing was written.
func (t *tail) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.end) == 0 {
		return ""
	}
	return "; the end of what it said:\n" + strings.TrimSpace(string(t.end))
}
