package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/dwellhq/dwell/internal/supervise"
)

// chRun is the engine as a supervised child.
type chRun struct {
	t     *testing.T
	sup   *supervise.Supervisor
	stop  func() error
	ready chan struct{}
	log   string
}

func runClickHouse(t *testing.T, dir string) *chRun {
	t.Helper()
	lib, err := FetchClickHouse(t.Context(), "", func(s string) { t.Log(s) })
	if errors.Is(err, ErrNoNPM) || errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The ports stay the same over restarts, as dwell dev's do.
	ports, err := freePorts(claim{0, "HTTP"}, claim{0, "native"})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{lib, dir, strconv.Itoa(ports[0]), strconv.Itoa(ports[1])}
	ctx, cancel := context.WithCancel(context.Background())
	r := &chRun{t: t, sup: &supervise.Supervisor{}, ready: make(chan struct{}, 100), log: filepath.Join(t.TempDir(), "clickhouse.log")}
	done := make(chan error, 1)
	go func() {
		done <- r.sup.Run(ctx, []supervise.Spec{{
			Name: "clickhouse", Path: os.Args[0], Args: args, Env: []string{envProgram + "=clickhouse"}, Log: r.log,
		}}, func(e supervise.Event) {
			if e.Kind == supervise.Ready {
				r.ready <- struct{}{}
			}
		})
	}()
	r.stop = func() error { cancel(); err := <-done; done <- nil; return err }
	t.Cleanup(func() { _ = r.stop() })
	r.await()
	return r
}

// await waits until the engine is ready, once for each start.
func (r *chRun) await() {
	r.t.Helper()
	select {
	case <-r.ready:
	case <-time.After(2 * time.Minute):
		log, _ := os.ReadFile(r.log)
		r.t.Fatalf("the engine is not ready; its log:\n%s", log)
	}
}

// end stops the engine, which must take less than the supervisor's patience,
// and say goodbye when no client is connected.
func (r *chRun) end(clients bool) {
	r.t.Helper()
	begin := time.Now()
	if err := r.stop(); err != nil {
		r.t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		r.t.Errorf("the end took %s", took)
	}
	if log, _ := os.ReadFile(r.log); !clients && !strings.Contains(string(log), "ended cleanly") {
		r.t.Errorf("the engine did not end cleanly:\n%s", log)
	}
}

// over connects with a protocol.
func (r *chRun) over(p clickhouse.Protocol, fact string) clickhouse.Conn {
	r.t.Helper()
	c, err := clickhouse.Open(&clickhouse.Options{
		Protocol: p,
		Addr:     []string{r.sup.Children()[0].Facts[fact]},
		Auth:     clickhouse.Auth{Database: "dwell"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func insert(t *testing.T, c clickhouse.Conn, from, n uint64) {
	t.Helper()
	b, err := c.PrepareBatch(t.Context(), "INSERT INTO seen")
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < from+n; i++ {
		if err := b.Append(i, "product"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Send(); err != nil {
		t.Fatal(err)
	}
}

func wantRows(t *testing.T, c clickhouse.Conn, want uint64) {
	t.Helper()
	var rows, ids uint64
	if err := c.QueryRow(t.Context(), "SELECT count(), uniqExact(id) FROM seen").Scan(&rows, &ids); err != nil {
		t.Fatal(err)
	}
	if rows != want || ids != want {
		t.Errorf("%d rows with %d ids, want %d", rows, ids, want)
	}
}

func TestClickHouseKeepsItsRowsWhenKilled(t *testing.T) {
	dir := t.TempDir()
	r := runClickHouse(t, dir)
	if v := r.sup.Children()[0].Facts["version"]; !strings.HasPrefix(v, "26.7.") {
		t.Errorf("version %q", v)
	}
	overHTTP, native := r.over(clickhouse.HTTP, "http"), r.over(clickhouse.Native, "tcp")
	if err := overHTTP.Exec(t.Context(), "CREATE TABLE seen (id UInt64, object String) ENGINE = MergeTree ORDER BY id"); err != nil {
		t.Fatal(err)
	}
	insert(t, overHTTP, 0, 1000)
	insert(t, native, 1000, 1000)
	wantRows(t, overHTTP, 2000)
	wantRows(t, native, 2000)

	if err := syscall.Kill(r.sup.Children()[0].Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.await()
	wantRows(t, r.over(clickhouse.HTTP, "http"), 2000)
	wantRows(t, r.over(clickhouse.Native, "tcp"), 2000)
	insert(t, r.over(clickhouse.HTTP, "http"), 2000, 5)

	r.end(true) // clients are still connected
	again := runClickHouse(t, dir)
	c := again.over(clickhouse.HTTP, "http")
	wantRows(t, c, 2005)
	_ = c.Close()
	again.end(false)
}

func TestClickHouseRefusesWhatCannotWork(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		cfg  ClickHouseConfig
		want string
	}{
		"no folder":     {ClickHouseConfig{}, "data directory is needed"},
		"pattern":       {ClickHouseConfig{Dir: filepath.Join(dir, "a*b")}, "as a pattern"},
		"no library":    {ClickHouseConfig{Dir: dir, Lib: filepath.Join(dir, "moon.so")}, "open the ClickHouse library"},
		"wrong library": {ClickHouseConfig{Dir: dir, Lib: os.Args[0]}, "load the ClickHouse library"},
	} {
		if err := RunClickHouse(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
