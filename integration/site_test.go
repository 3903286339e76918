package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// limit is how long anything that a test waits for may take on a busy machine.
const limit = 2 * time.Minute

// site is a running `dwell dev`.
type site struct {
	t       *testing.T
	data    string
	ports   map[string]int
	flags   []string
	brokers string

	cmd *exec.Cmd
	out *output
}

// output keeps what a process prints and lets a test wait for a line.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
	done chan struct{}
}

func (o *output) read(r io.Reader) {
	defer close(o.done)
	in := bufio.NewScanner(r)
	for in.Scan() {
		o.mu.Lock()
		o.text.WriteString(in.Text() + "\n")
		close(o.more)
		o.more = make(chan struct{})
		o.mu.Unlock()
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait returns once the output holds s; false when the process ended or the time is over.
func (o *output) wait(s string) bool {
	end := time.After(limit)
	for {
		o.mu.Lock()
		found, more := strings.Contains(o.text.String(), s), o.more
		o.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-more:
		case <-o.done:
			return strings.Contains(o.String(), s)
		case <-end:
			return false
		}
	}
}

// freePorts are four ports that nobody listens on now.
func freePorts(t *testing.T) map[string]int {
	t.Helper()
	ports := map[string]int{}
	for _, name := range []string{"http", "kafka", "click-house", "admin"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[name] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// start runs dwell on a backend with a new data folder and waits until it is ready.
func start(t *testing.T, b backend) *site {
	t.Helper()
	s := &site{t: t, data: filepath.Join(t.TempDir(), "data"), ports: freePorts(t), brokers: b.brokers, flags: b.flags}
	if s.brokers == "" {
		s.brokers = fmt.Sprintf("127.0.0.1:%d", s.ports["kafka"])
	}
	s.run()
	t.Cleanup(s.stop)
	return s
}

// run starts the process and waits until it is ready.
func (s *site) run() {
	s.t.Helper()
	args := append([]string{"dev", "--data", s.data}, s.flags...)
	for name, port := range s.ports {
		args = append(args, "--"+name+"-port", strconv.Itoa(port))
	}
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = append(os.Environ(), "KAFKA=embedded")
	s.out = &output{more: make(chan struct{}), done: make(chan struct{})}
	pipe, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go s.out.read(pipe)
	if !s.out.wait("dwell is ready") {
		s.t.Fatalf("dwell did not become ready:\n%s\n%s", s.out, s.logs())
	}
}

// stop ends the process as Ctrl-C does; it must end well.
func (s *site) stop() {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	cmd := s.cmd
	s.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Error(err)
	}
	<-s.out.done
	if err := cmd.Wait(); err != nil {
		s.t.Errorf("dwell dev ended with %v:\n%s\n%s", err, s.out, s.logs())
	}
	if s.t.Failed() {
		s.t.Logf("dwell dev said:\n%s\n%s", s.out, s.logs())
	}
}

// crash kills the supervisor with -9: everything must go with it, and the next start must find all.
func (s *site) crash() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.out.done
	_ = s.cmd.Wait() // killed: it cannot end well
	s.cmd = nil
}

// logs are the ends of all parts' logs.
func (s *site) logs() string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.data, "logs", "*.log"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "--- %s\n%s\n", filepath.Base(f), text[max(0, len(text)-3000):])
	}
	return b.String()
}

func (s *site) url(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.ports["http"], path)
}

// dwell runs a tool of the binary against the site.
func (s *site) dwell(args ...string) string {
	s.t.Helper()
	out, err := s.tool(args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("dwell %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *site) tool(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "DWELL_BROKERS="+s.brokers)
	return cmd
}

// query runs SQL in the site's ClickHouse and returns its rows, tab-separated.
func (s *site) query(sql string) []string {
	s.t.Helper()
	rows, err := s.try(sql)
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}

func (s *site) try(sql string) ([]string, error) {
	u := fmt.Sprintf("http://127.0.0.1:%d/?database=dwell&query=%s", s.ports["click-house"], url.QueryEscape(sql))
	resp, err := http.Get(u)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s %s %w", sql, resp.Status, b, err)
	}
	text := strings.TrimRight(string(b), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// eventually waits until the query's only row is want.
func (s *site) eventually(sql, want string) {
	s.t.Helper()
	var rows []string
	var err error
	waitFor(s.t, func() bool {
		rows, err = s.try(sql)
		return err == nil && len(rows) == 1 && rows[0] == want
	}, func() string { return fmt.Sprintf("%s: want %s, have %v %v", sql, want, rows, err) })
}

// waitFor polls a condition until it holds.
func waitFor(t *testing.T, cond func() bool, why func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("waited in vain: " + why())
		}
	}
}

// child is a part as the admin port shows it.
type child struct {
	Name     string
	Pid      int
	Ready    bool
	Restarts int
}

func (s *site) child(name string) child {
	s.t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/status", s.ports["admin"]))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []child
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range all {
		if c.Name == name {
			return c
		}
	}
	s.t.Fatalf("no part is called %s", name)
	return child{}
}

// kill ends a part with -9; the supervisor starts it again.
func (s *site) kill(name string) {
	s.t.Helper()
	c := s.child(name)
	if c.Pid == 0 {
		return // it is down already
	}
	if err := syscall.Kill(c.Pid, syscall.SIGKILL); err != nil {
		s.t.Errorf("kill %s: %v", name, err)
	}
}

// back waits until a killed part is ready again.
func (s *site) back(name string, restarts int) {
	s.t.Helper()
	waitFor(s.t, func() bool { c := s.child(name); return c.Ready && c.Restarts >= restarts }, func() string { return name + " is not ready again" })
}
