package embedded

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// realKafka starts a cluster or skips where there is no Java or Maven.
func realKafka(t *testing.T, cfg RealKafkaConfig) *RealKafka {
	t.Helper()
	cfg.HeapMB = 256
	cfg.Progress = func(s string) { t.Log(s) }
	k, err := StartRealKafka(t.Context(), cfg)
	if errors.Is(err, ErrNoJava) || errors.Is(err, ErrNoMaven) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func TestRealKafkaKeepsItsDataThroughKillAndStop(t *testing.T) {
	dir := t.TempDir()
	k := realKafka(t, RealKafkaConfig{Dir: dir, Properties: map[string]string{"message.max.bytes": "2000000"}})
	createTopic(t, k.Addrs(), 1)
	produce(t, k.Addrs(), "one")
	if err := errors.Join(k.Kill(0), k.Start(t.Context(), 0)); err != nil {
		t.Fatal(err)
	}
	produce(t, k.Addrs(), "two")
	if got := consume(t, k.Addrs(), 2); got != "one two" {
		t.Errorf("read %q after kill -9", got)
	}
	if err := k.Stop(0); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-k.Failed():
		t.Errorf("an end that was asked for counts as a failure: %v", err)
	default:
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	again := realKafka(t, RealKafkaConfig{Dir: dir})
	if got := consume(t, again.Addrs(), 2); got != "one two" {
		t.Errorf("read %q from a new cluster on the same data", got)
	}
	_ = syscall.Kill(again.Pids()[0], syscall.SIGKILL)
	select {
	case err := <-again.Failed():
		if !strings.Contains(err.Error(), "node 1: it ended by itself: signal: killed") {
			t.Errorf("failure reads %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody says that the JVM died")
	}
}

func TestRealKafkaRunsThreeNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("three JVMs: not in -short")
	}
	k := realKafka(t, RealKafkaConfig{Dir: t.TempDir(), Nodes: 3})
	createTopic(t, k.Addrs(), 3)
	if err := k.Kill(1); err != nil {
		t.Fatal(err)
	}
	produce(t, k.Addrs(), "one")
	if err := errors.Join(k.Start(t.Context(), 1), k.Stop(2)); err != nil {
		t.Fatal(err)
	}
	produce(t, k.Addrs(), "two")
	if got := consume(t, k.Addrs(), 2); got != "one two" {
		t.Errorf("read %q", got)
	}
}

func TestRealKafkaDiesWithItsProcess(t *testing.T) {
	realKafka(t, RealKafkaConfig{Dir: t.TempDir()}) // skips where it cannot run
	dir := t.TempDir()
	cmd, jvm := program(t, "realkafka", dir)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	ended(t, jvm)
}

func TestRealKafkaNamesThePortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = StartRealKafka(t.Context(), RealKafkaConfig{Dir: t.TempDir(), Ports: []int{port}})
	if errors.Is(err, ErrNoJava) || errors.Is(err, ErrNoMaven) {
		t.Skip(err)
	}
	var inUse *PortInUseError
	if !errors.As(err, &inUse) || inUse.Port != port {
		t.Errorf("got %v, want port %d in use", err, port)
	}
}

func TestMissingJavaAndMavenAreTyped(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	_, err := StartRealKafka(t.Context(), RealKafkaConfig{Dir: t.TempDir()})
	if !errors.Is(err, ErrNoJava) || !strings.Contains(err.Error(), "apt-get install openjdk") {
		t.Errorf("without java: %v", err)
	}
	old := "#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019' >&2\n"
	script(t, filepath.Join(bin, "java"), old)
	if _, err = findJava(t.Context()); !errors.Is(err, ErrNoJava) || !strings.Contains(err.Error(), "version 11") {
		t.Errorf("with java 11: %v", err)
	}
	script(t, filepath.Join(bin, "java"), strings.Replace(old, "11.0.2", strconv.Itoa(javaNeeded), 1))
	_, err = FetchKafka(t.Context(), t.TempDir(), nil)
	if !errors.Is(err, ErrNoMaven) || !strings.Contains(err.Error(), "apt-get install maven") {
		t.Errorf("without mvn: %v", err)
	}
}

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
