package core

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

// message is a line from a child to the measuring process: an answer to a mark, the broker's
// addresses, or how the child's work failed.
type message struct {
	CPUNS int64 `json:"cpu_ns,omitempty"`
	// Allocs since the child began; nil where it does not count them.
	Allocs *uint64  `json:"allocs,omitempty"`
	Addrs  []string `json:"addrs,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// process is a child: a stack, or the broker. It ends when its standard input does, so it does not
// outlive this process.
type process struct {
	name     string
	cmd      *exec.Cmd
	in       io.WriteCloser
	messages chan message
	log      *tail
	exited   chan struct{}
	err      error // how it ended; valid once exited is closed
}

// stopTime is how long a child may take to end in order.
const stopTime = 20 * time.Second

// start runs argv in dir. Standard error is kept for the report of a failure.
func start(name, dir string, argv []string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), messages: make(chan message, 4), log: &tail{}, exited: make(chan struct{})}
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
func (p *process) follow(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var m message
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

// receive waits for a message; a child that failed or ended is an error.
func (p *process) receive(ctx context.Context) (message, error) {
	select {
	case m := <-p.messages:
		if m.Error != "" {
			return m, fmt.Errorf("%s failed: %s%s", p.name, m.Error, p.log.said())
		}
		return m, nil
	case <-p.exited:
		return message{}, p.death()
	case <-ctx.Done():
		return message{}, context.Cause(ctx)
	}
}

// alive is an error once the child has failed or ended.
func (p *process) alive() error {
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

func (p *process) death() error {
	cause := p.err
	if cause == nil {
		cause = errors.New("it ended by itself")
	}
	return fmt.Errorf("%s ended: %w%s", p.name, cause, p.log.said())
}

// mark asks the child what it has used so far.
func (p *process) mark(ctx context.Context) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := io.WriteString(p.in, "mark\n"); err != nil {
		return message{}, errors.Join(fmt.Errorf("ask %s for its figures: %w", p.name, err), p.alive())
	}
	return p.receive(ctx)
}

// stop ends the child in order; one that does not end is killed and reported.
func (p *process) stop() error {
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

// peakRSS is the most memory that a living process had resident, bytes; 0 where the system does not say.
func peakRSS(pid int) int64 {
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

// reapedRSS is what the system says of a process that has ended. On Linux it counts the parent's memory
// at the start too, so peakRSS goes before it.
func reapedRSS(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin":
		return u.Maxrss
	}
	return u.Maxrss << 10
}

// processCPU is the CPU time that a process used, in the kernel's ticks of 10 ms; 0 where it is not told.
func processCPU(pid int) time.Duration {
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
