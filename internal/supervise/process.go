package supervise

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// process is one running child process.
type process struct {
	cmd   *exec.Cmd
	pid   int
	log   *logFile
	alive *os.File // write end; its close tells the child that we are gone

	ready   chan struct{} // closed at the first report
	readyAt time.Time     // valid once ready is closed
	exited  chan struct{} // closed when the process is reaped and its reports are read
	err     error         // how it ended; valid once exited is closed
}

// start runs spec in a process group of its own, so that a Ctrl-C in the
// terminal reaches the supervisor alone and the supervisor keeps the order.
// report is called for each line the child sends, from one goroutine, and
// never after exited is closed.
func start(spec Spec, lock *DirLock, report func(pid int, facts map[string]string, first bool)) (*process, error) {
	log, err := openLog(spec.Log)
	if err != nil {
		return nil, fmt.Errorf("start child %s: %w", spec.Name, err)
	}
	defer log.closeWriter()
	aliveR, aliveW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start child %s: %w", spec.Name, err)
	}
	defer aliveR.Close()
	readyR, readyW, err := os.Pipe()
	if err != nil {
		aliveW.Close()
		return nil, fmt.Errorf("start child %s: %w", spec.Name, err)
	}
	defer readyW.Close()

	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Stdout, cmd.Stderr = log.w, log.w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// ExtraFiles become descriptors 3, 4, 5 in the child.
	cmd.ExtraFiles = []*os.File{aliveR, readyW}
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Env = append(cmd.Env, envAlive+"=3", envReady+"=4", envGrace+"="+strconv.FormatInt(spec.StopTimeout.Milliseconds(), 10))
	if lock != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, lock.file)
		cmd.Env = append(cmd.Env, envLock+"=5")
	}
	if err := cmd.Start(); err != nil {
		aliveW.Close()
		readyR.Close()
		return nil, fmt.Errorf("start child %s: %w", spec.Name, err)
	}
	p := &process{
		cmd: cmd, pid: cmd.Process.Pid, log: log, alive: aliveW,
		ready: make(chan struct{}), exited: make(chan struct{}),
	}
	reports := make(chan struct{})
	go p.read(readyR, reports, report)
	go p.reap(readyR, reports)
	return p, nil
}

// read ends when the child's end of the pipe is closed everywhere or reap has
// set a deadline.
func (p *process) read(r *os.File, done chan<- struct{}, report func(int, map[string]string, bool)) {
	defer close(done)
	first := true
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var facts map[string]string
		if json.Unmarshal(lines.Bytes(), &facts) != nil {
			continue // half a line of a child that died while it wrote
		}
		if first {
			p.readyAt = time.Now()
			close(p.ready)
		}
		report(p.pid, facts, first)
		first = false
	}
}

func (p *process) reap(readyR *os.File, reports <-chan struct{}) {
	p.err = p.cmd.Wait()
	// What the child left behind in its group goes with it. The group's number
	// is ours as long as it has a member; without one this finds nothing.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	// Everything the child wrote is in the pipe by now; the deadline is for a
	// descriptor that a grandchild took along.
	_ = readyR.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-reports
	readyR.Close()
	p.alive.Close()
	close(p.exited)
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the child and whatever runs in its process group.
func (p *process) kill() {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		_ = p.cmd.Process.Kill()
	}
}
