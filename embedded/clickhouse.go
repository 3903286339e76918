package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	engineStarts = 2 * time.Minute // the most a start may take: it reads all tables' parts
	engineStops  = 3 * time.Second // less than the 5 s after which it exits the process itself
)

// ClickHouseConfig sets up the embedded ClickHouse.
type ClickHouseConfig struct {
	// Lib is the library's path, from FetchClickHouse.
	Lib string
	// Dir keeps the data. Its path must not hold any of * ? { }.
	Dir string
	// HTTPPort and TCPPort (native protocol) are zero for free ones.
	HTTPPort, TCPPort int
	// Args are more options for the engine, as --name=value.
	Args []string
	// Ready is called once, when the database dwell is there and both ports
	// answer; nil is allowed.
	Ready func(ClickHouseReady)
}

// ClickHouseReady says where the engine answers.
type ClickHouseReady struct {
	HTTPAddr string // host:port
	TCPAddr  string // host:port, native protocol
	Version  string
}

// RunClickHouse runs a ClickHouse server inside this process until ctx ends,
// then ends it and returns nil: within milliseconds when no client is
// connected, else after 3 s with the engine still waiting for its clients, so
// the process must end then (by os.Exit or by returning from main; no
// acknowledged row is lost). Stop the clients first.
//
// It may be called once in a process, which should do nothing else: the
// library takes 566 MB of address space, brings threads and signal handlers of
// its own, and when it aborts (it did when native clients were killed with -9;
// never over HTTP) the process is gone. So run it as a supervised child and
// use HTTP. What it says goes to this process's stdout and stderr.
//
// All acknowledged rows survive a kill -9 of the process; the next start on
// the same Dir comes up with them. It returns a *PortInUseError when a port is
// taken, ErrUnsupported where there is no library.
func RunClickHouse(ctx context.Context, cfg ClickHouseConfig) error {
	if cfg.Dir == "" {
		return errors.New("start ClickHouse: a data directory is needed")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return fmt.Errorf("find ClickHouse's data directory: %w", err)
	}
	if strings.ContainsAny(dir, "*?{}") {
		return fmt.Errorf("start ClickHouse in %s: it reads * ? { } in a path as a pattern: use another folder", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make ClickHouse's data directory: %w", err)
	}
	lock, err := lockNow(filepath.Join(dir, "lock"))
	if err != nil {
		return fmt.Errorf("open ClickHouse's data in %s: %w", dir, err)
	}
	defer lock.Close()
	ports, err := freePorts(claim{cfg.HTTPPort, "ClickHouse's HTTP"}, claim{cfg.TCPPort, "ClickHouse's native protocol"})
	if err != nil {
		return err
	}
	park, err := openPark(filepath.Join(dir, "park.fifo"))
	if err != nil {
		return fmt.Errorf("start ClickHouse in %s: %w", dir, err)
	}
	defer park.Close()
	e, err := startEngine(cfg.Lib, engineArgs(cfg, dir, park.Name(), ports))
	if err != nil {
		return fmt.Errorf("start ClickHouse in %s: %w", dir, err)
	}
	return e.serve(ctx, park, cfg, ports)
}

// openPark makes the pipe on which the engine's last query waits. A stale one
// is what a kill -9 left.
func openPark(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// engineArgs has clickhouse-local open the server's listeners and then wait.
func engineArgs(cfg ClickHouseConfig, dir, fifo string, ports []int) []string {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(fifo)
	args := []string{
		"clickhouse",
		"--path=" + filepath.Join(dir, "data"),
		"--listen_host=" + loopback,
		"--http_port=" + strconv.Itoa(ports[0]),
		"--tcp_port=" + strconv.Itoa(ports[1]),
	}
	args = append(args, cfg.Args...)
	return append(args, "--output-format=TSV",
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT * FROM file('"+quoted+"', LineAsString) FORMAT Null")
}

// engine is the library at work.
type engine struct {
	done           chan error // gets the engine's end, once
	restoreSignals func()     // gives Go its signal handlers back
}

func (e *engine) serve(ctx context.Context, park *os.File, cfg ClickHouseConfig, ports []int) error {
	up := make(chan error, 1)
	var ready ClickHouseReady
	starting, cancel := context.WithTimeout(ctx, engineStarts)
	defer cancel()
	go func() {
		var err error
		ready, err = awaitEngine(starting, ports)
		up <- err
	}()
	select {
	case err := <-e.done:
		return fmt.Errorf("start ClickHouse: the engine ended by itself: %w", orNothing(err))
	case err := <-up:
		e.restoreSignals()
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return fmt.Errorf("start ClickHouse on ports %d and %d: %w", ports[0], ports[1], err)
		}
		if cfg.Ready != nil {
			cfg.Ready(ready)
		}
	}
	select {
	case err := <-e.done:
		return fmt.Errorf("run ClickHouse: the engine ended by itself: %w", orNothing(err))
	case <-ctx.Done():
		return e.stop(park)
	}
}

// orNothing gives an end that has no error one.
func orNothing(err error) error {
	if err == nil {
		return errors.New("it gave no reason")
	}
	return err
}

// stop lets the parked query end, and the engine with it. The pipe is closed
// only after the engine has read from it: a pipe that nobody holds open loses
// what is in it, and the engine may just be about to open it.
func (e *engine) stop(park *os.File) error {
	if _, err := park.WriteString("end\n"); err != nil {
		return fmt.Errorf("stop ClickHouse: %w", err)
	}
	limit := time.NewTimer(engineStops)
	defer limit.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for open := true; ; {
		select {
		case err := <-e.done:
			if err != nil {
				return fmt.Errorf("stop ClickHouse: %w", err)
			}
			return nil
		case <-limit.C:
			return nil // clients are still connected; everything acknowledged is on disk
		case <-again.C:
			if open && unread(park) == 0 {
				park.Close()
				open = false
			}
		}
	}
}

// awaitEngine waits until the engine answers and makes the database.
func awaitEngine(ctx context.Context, ports []int) (ClickHouseReady, error) {
	ready := ClickHouseReady{HTTPAddr: address(ports[0]), TCPAddr: address(ports[1])}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		version, err := ask(ctx, ready.HTTPAddr, "SELECT version()")
		if err == nil {
			ready.Version = version
			break
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ready, fmt.Errorf("no answer: %w (last: %w)", ctx.Err(), err)
		}
	}
	_, err := ask(ctx, ready.HTTPAddr, "CREATE DATABASE IF NOT EXISTS dwell ENGINE = Atomic")
	return ready, err
}

// ask sends one statement over HTTP and returns the trimmed answer.
func ask(ctx context.Context, addr, query string) (string, error) {
	u := url.URL{Scheme: "http", Host: addr, Path: "/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(query))
	if err != nil {
		return "", err
	}
	req.Close = true // the engine waits for open connections when it ends
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", query, firstLine(string(body)))
	}
	return strings.TrimSpace(string(body)), nil
}
