// Package clickhousetest gives tests a real ClickHouse: the embedded one, in a process of its own,
// which is the test binary started again.
package clickhousetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwellhq/dwell/embedded"
)

// dirEnv, set to a data directory, makes a test binary the engine.
const (
	dirEnv = "DWELL_TEST_CLICKHOUSE_DIR"
	libEnv = "DWELL_TEST_CLICKHOUSE_LIB"
)

const patience = 2 * time.Minute

// Main is for TestMain: it runs the engine if this process was started as one, else the tests.
func Main(m *testing.M) {
	if dir := os.Getenv(dirEnv); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// IsEngine says that this process was started as the engine.
func IsEngine() bool { return os.Getenv(dirEnv) != "" }

// serve runs the engine until stdin ends, which it does when the test process dies, however it dies.
func serve(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return embedded.RunClickHouse(ctx, embedded.ClickHouseConfig{
		Lib: os.Getenv(libEnv), Dir: dir,
		Ready: func(r embedded.ClickHouseReady) { fmt.Printf("\nready %s %s\n", r.HTTPAddr, r.TCPAddr) },
	})
}

// Engine is one running ClickHouse.
type Engine struct {
	HTTP, TCP string // host:port
	dir, lib  string
	cmd       *exec.Cmd
	stdin     io.Closer
	databases atomic.Int64
}

// Start starts an engine for the length of the test, or skips the test when the library cannot be
// had here.
func Start(tb testing.TB) *Engine {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Minute)
	defer cancel()
	lib, err := embedded.FetchClickHouse(ctx, "", func(s string) { tb.Log(s) })
	if errors.Is(err, embedded.ErrUnsupported) || errors.Is(err, embedded.ErrNoNPM) {
		tb.Skipf("no ClickHouse library here: %v", err)
	}
	if err != nil {
		tb.Fatalf("fetch ClickHouse: %v", err)
	}
	e := &Engine{dir: tb.TempDir(), lib: lib}
	e.Launch(tb)
	tb.Cleanup(func() { e.end(tb) })
	return e
}

// Launch starts the engine on its data, after Kill.
func (e *Engine) Launch(tb testing.TB) {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirEnv+"="+e.dir, libEnv+"="+e.lib)
	cmd.Stderr = tb.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start ClickHouse: %v", err)
	}
	e.cmd, e.stdin = cmd, in
	ready := make(chan [2]string, 1)
	go func() {
		defer close(ready)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "ready" {
				ready <- [2]string{f[1], f[2]}
			}
		}
	}()
	select {
	case at, ok := <-ready:
		if !ok {
			tb.Fatalf("ClickHouse ended while it started: %v", cmd.Wait())
		}
		e.HTTP, e.TCP = at[0], at[1]
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		tb.Fatal("ClickHouse did not start")
	}
}

// Kill ends the engine as kill -9 does.
func (e *Engine) Kill(tb testing.TB) {
	tb.Helper()
	if err := e.cmd.Process.Kill(); err != nil {
		tb.Fatalf("kill ClickHouse: %v", err)
	}
	_ = e.cmd.Wait()
	e.cmd = nil
}

func (e *Engine) end(tb testing.TB) {
	if e.cmd == nil {
		return
	}
	_ = e.stdin.Close()
	late := time.AfterFunc(patience, func() { _ = e.cmd.Process.Kill() })
	defer late.Stop()
	// In a binary built with -race the library faults while it ends, after everything was written.
	// How an engine ends is for package embedded to test.
	if err := e.cmd.Wait(); err != nil {
		tb.Logf("ClickHouse ended with %v", err)
	}
}

// DSN of a database of its own for a test, over HTTP; it is not made yet.
func (e *Engine) DSN() string {
	return fmt.Sprintf("http://%s/test%d", e.HTTP, e.databases.Add(1))
}

// NativeDSN is DSN over the native protocol.
func (e *Engine) NativeDSN() string {
	return fmt.Sprintf("clickhouse://%s/test%d", e.TCP, e.databases.Add(1))
}
