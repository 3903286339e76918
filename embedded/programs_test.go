package embedded

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/supervise"
)

// The test binary is also the programs that the tests start and kill.
const envProgram = "DWELL_EMBEDDED_TEST_PROGRAM"

func TestMain(m *testing.M) {
	program := os.Getenv(envProgram)
	_ = os.Unsetenv(envProgram)
	switch program {
	case "":
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each program ends a second late under -race
		slog.SetDefault(slog.New(slog.DiscardHandler))
		os.Exit(m.Run())
	case "clickhouse":
		clickHouseProgram(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	case "kafka":
		kafkaProgram(os.Args[1])
	case "realkafka":
		realKafkaProgram(os.Args[1])
	}
	os.Exit(0)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func clickHouseProgram(lib, dir, httpPort, tcpPort string) {
	hp, err := strconv.Atoi(httpPort)
	fail(err)
	tp, err := strconv.Atoi(tcpPort)
	fail(err)
	h := supervise.Child()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	ctx, stop := h.Context(ctx)
	defer stop()
	fail(RunClickHouse(ctx, ClickHouseConfig{Lib: lib, Dir: dir, HTTPPort: hp, TCPPort: tp, Ready: func(r ClickHouseReady) {
		fmt.Fprintln(os.Stderr, "ready")
		fail(h.Ready(map[string]string{"http": r.HTTPAddr, "tcp": r.TCPAddr, "version": r.Version}))
	}}))
	fmt.Fprintln(os.Stderr, "ended cleanly")
}

// kafkaProgram prints its address and lives until it is killed.
func kafkaProgram(dir string) {
	k, err := StartKafka(KafkaConfig{Dir: dir})
	fail(err)
	fmt.Println(k.Addrs()[0])
	select {}
}

// realKafkaProgram prints the JVM's process id and lives until it is killed.
func realKafkaProgram(dir string) {
	k, err := StartRealKafka(context.Background(), RealKafkaConfig{Dir: dir, HeapMB: 256})
	fail(err)
	fmt.Println(k.Pids()[0])
	select {}
}

// program starts the test binary as one of the programs and returns the first
// line that it prints.
func program(t *testing.T, name string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), envProgram+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("program %s: %v", name, err)
	}
	return cmd, strings.TrimSpace(line)
}

// ended waits until the process pid is gone or a zombie.
func ended(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "process "+pid+" has ended", func() bool {
		if syscall.Kill(n, 0) != nil {
			return true
		}
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		return strings.Contains(string(stat), ") Z ")
	})
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
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
