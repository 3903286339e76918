package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the programs that the tests supervise.
const envProgram = "DWELL_SUPERVISE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	program := os.Getenv(envProgram)
	_ = os.Unsetenv(envProgram)
	switch program {
	case "":
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each program ends a second late under -race
		os.Exit(m.Run())
	case "role":
		roleProgram(os.Args[1], os.Args[2])
	case "crash":
		fmt.Println("cannot open the moon")
		os.Exit(3)
	case "mute":
		fmt.Println("thinking about it")
		ctx, _ := ending(Child())
		<-ctx.Done()
	case "stubborn":
		stubbornProgram()
	case "supervisor":
		supervisorProgram(os.Args[1])
	}
	os.Exit(0)
}

// roleProgram writes what it does into the trace file at path.
func roleProgram(name, path string) {
	h := Child()
	ctx, cancel := ending(h)
	defer cancel()
	trace(path, "start "+name)
	if err := h.Ready(map[string]string{"pid": strconv.Itoa(os.Getpid())}); err != nil {
		os.Exit(1)
	}
	<-ctx.Done()
	trace(path, "stop "+name)
}

func stubbornProgram() {
	signal.Ignore(syscall.SIGTERM)
	h := Child()
	_ = h.Ready(nil)
	select {}
}

// supervisorProgram prints its children once all are ready, then runs on.
func supervisorProgram(dir string) {
	ctx := context.Background()
	lock, err := Lock(ctx, dir, 0, nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	s := Supervisor{Lock: lock}
	ready := 0
	_ = s.Run(ctx, []Spec{
		{Name: "a", Path: os.Args[0], Args: []string{"a", dir + "/trace"}, Env: program("role")},
		{Name: "b", Path: os.Args[0], Args: []string{"b", dir + "/trace"}, Env: program("role"), After: []string{"a"}},
		{Name: "c", Path: os.Args[0], Env: program("stubborn"), StopTimeout: 200 * time.Millisecond},
	}, func(e Event) {
		if e.Kind != Ready {
			return
		}
		if ready++; ready == 3 {
			_ = json.NewEncoder(os.Stdout).Encode(s.Children())
		}
	})
}

func program(name string) []string { return []string{envProgram + "=" + name} }

func trace(path, line string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		os.Exit(1)
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

// ending ends on SIGTERM and with the supervisor.
func ending(h *Handle) (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	ctx, stop := h.Context(ctx)
	return ctx, func() { stop(); cancel() }
}
