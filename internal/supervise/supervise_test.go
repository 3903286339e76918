package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// run is a Supervisor at work with its events recorded.
type run struct {
	t      *testing.T
	sup    *Supervisor
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []Event
	more   chan struct{}
}

func begin(t *testing.T, specs ...Spec) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{t: t, sup: &Supervisor{}, cancel: cancel, done: make(chan error, 1), more: make(chan struct{}, 1000)}
	go func() { r.done <- r.sup.Run(ctx, specs, r.record) }()
	t.Cleanup(cancel)
	return r
}

func (r *run) record(e Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	r.more <- struct{}{}
}

func (r *run) count(child string, k Kind) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Child == child && e.Kind == k {
			n++
		}
	}
	return n
}

// await waits until child has had n events of kind k.
func (r *run) await(child string, k Kind, n int) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for r.count(child, k) < n {
		select {
		case <-r.more:
		case <-deadline:
			r.t.Fatalf("%s had %d × %q, want %d; events %v", child, r.count(child, k), k, n, r.events)
		}
	}
}

// end waits for Run's answer.
func (r *run) end() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		r.t.Fatalf("Run did not return; events %v", r.events)
		return nil
	}
}

func (r *run) child(name string) ChildState {
	i := slices.IndexFunc(r.sup.Children(), func(c ChildState) bool { return c.Name == name })
	return r.sup.Children()[i]
}

func role(name, trace string, after ...string) Spec {
	return Spec{Name: name, Path: os.Args[0], Args: []string{name, trace}, Env: program("role"), After: after}
}

func traced(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// gone waits until pid is no process any more.
func gone(t *testing.T, pid int) {
	t.Helper()
	until(t, fmt.Sprintf("process %d is gone", pid), func() bool {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid)
	})
}

// zombie says whether pid has ended and only waits to be reaped by init.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	r := begin(t, role("worker", trace, "gateway"), role("kafka", trace), role("gateway", trace, "kafka"))
	r.await("worker", Ready, 1)
	if c := r.child("kafka"); !c.Ready || c.Facts["pid"] != fmt.Sprint(c.Pid) || c.Since.IsZero() {
		t.Errorf("kafka is %+v", c)
	}
	r.cancel()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	want := []string{"start kafka", "start gateway", "start worker", "stop worker", "stop gateway", "stop kafka"}
	if got := traced(t, trace); !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
	if c := r.child("kafka"); c.Pid != 0 || c.Ready {
		t.Errorf("after the end kafka is %+v", c)
	}
}

func TestAKilledChildIsRestartedAlone(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	r := begin(t, role("kafka", trace), role("worker", trace, "kafka"))
	r.await("worker", Ready, 1)
	old, worker := r.child("kafka").Pid, r.child("worker").Pid
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.await("kafka", Ready, 2)
	if c := r.child("kafka"); c.Restarts != 1 || c.Pid == old {
		t.Errorf("kafka is %+v, was pid %d", c, old)
	}
	if c := r.child("worker"); c.Restarts != 0 || c.Pid != worker {
		t.Errorf("worker is %+v, was pid %d", c, worker)
	}
	r.cancel()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
}

func TestAChildThatIsNeverReadyEndsTheRunWithItsLog(t *testing.T) {
	dir := t.TempDir()
	r := begin(t,
		role("kafka", dir+"/trace"),
		Spec{
			Name: "mute", Path: os.Args[0], Env: program("mute"), Log: dir + "/logs/mute.log",
			ReadyTimeout: 300 * time.Millisecond, After: []string{"kafka"},
		},
		role("worker", dir+"/trace", "mute"))
	err := r.end()
	for _, want := range []string{"mute", "not ready within 300ms", "thinking about it", "mute.log"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if got := traced(t, dir+"/trace"); !slices.Equal(got, []string{"start kafka", "stop kafka"}) {
		t.Errorf("trace %q: kafka must be stopped in order and worker never started", got)
	}
}

func TestFiveFailuresBeforeReadyGiveUp(t *testing.T) {
	dir := t.TempDir()
	r := begin(t, Spec{Name: "crash", Path: os.Args[0], Env: program("crash"), Log: dir + "/crash.log"})
	err := r.end()
	for _, want := range []string{"crash", "5 times", "exit status 3", "cannot open the moon"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if n := strings.Count(err.Error(), "moon"); n != 1 {
		t.Errorf("the log's end shows %d runs, want the last alone", n)
	}
	if got := r.count("crash", Started); got != 5 {
		t.Errorf("started %d times, want 5", got)
	}
	if got := r.count("crash", GaveUp); got != 1 {
		t.Errorf("gave up %d times, want 1", got)
	}
}

func TestAStubbornChildIsKilledAfterItsTime(t *testing.T) {
	r := begin(t, Spec{Name: "s", Path: os.Args[0], Env: program("stubborn"), StopTimeout: 100 * time.Millisecond})
	r.await("s", Ready, 1)
	r.cancel()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if r.count("s", Killed) != 1 || r.count("s", Stopped) != 1 {
		t.Errorf("events %v", r.events)
	}
}

func TestAKilledSupervisorTakesItsChildrenAlongAndFreesTheLock(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), program("supervisor")...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var children []ChildState
	if err := json.NewDecoder(out).Decode(&children); err != nil || len(children) != 3 {
		t.Fatalf("children %v: %v", children, err)
	}

	var locked *LockedError
	if _, err := Lock(t.Context(), dir, 0, nil); !errors.As(err, &locked) || locked.Pid != cmd.Process.Pid {
		t.Fatalf("second start: %v", err)
	}
	if want := fmt.Sprintf("another dwell runs on %s (pid %d): stop it, or use another --data", dir, cmd.Process.Pid); locked.Error() != want {
		t.Errorf("says %q, want %q", locked, want)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	killed := time.Now()
	lock, err := Lock(t.Context(), dir, 5*time.Second, nil)
	if err != nil {
		t.Fatalf("the lock is not free after the kill: %v", err)
	}
	defer lock.Release()
	if took := time.Since(killed); took > 2*time.Second {
		t.Errorf("children took %s to end", took)
	}
	for _, c := range children {
		gone(t, c.Pid)
	}
	got := traced(t, dir+"/trace")
	slices.Sort(got)
	if want := []string{"start a", "start b", "stop a", "stop b"}; !slices.Equal(got, want) {
		t.Errorf("trace %q, want %q: children stop by themselves", got, want)
	}
}

func TestASecondStartWaitsForAnEndingRun(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(t.Context(), dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	second, err := Lock(t.Context(), dir, 10*time.Second, func(pid int) {
		if told++; pid != os.Getpid() {
			t.Errorf("waits for pid %d, want %d", pid, os.Getpid())
		}
		_ = first.Release()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if told != 1 {
		t.Errorf("said %d times that it waits, want once", told)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	err := (&Supervisor{}).Run(t.Context(), []Spec{
		{Name: "a", Path: "x", After: []string{"b"}},
		{Name: "b", Path: "x", After: []string{"a"}},
		{Name: "c", Path: "x", After: []string{"moon"}},
		{Name: "c", Path: "x"},
		{Name: "d"},
	}, nil)
	for _, want := range []string{"child a: waits for itself", "child b: waits for itself", `"moon"`, "child c: declared twice", `name "d"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

func TestAHandleWithoutSupervisorIsInert(t *testing.T) {
	h := Child()
	if err := h.Ready(map[string]string{"a": "b"}); err != nil {
		t.Error(err)
	}
	select {
	case <-h.Done():
		t.Error("Done is closed")
	default:
	}
}
