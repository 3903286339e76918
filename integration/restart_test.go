package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// track sends events of one user until the gateway has taken each.
func (s *site) track(user string, from, to int) {
	s.t.Helper()
	for i := from; i < to; i++ {
		s.call("track", fmt.Sprintf(`{"userId":%q,"event":"ping","messageId":"m%d"}`, user, i))
	}
}

const pings = "SELECT uniqExact(event_id) * 1000000 + count() FROM events WHERE tenant='demo' AND event='ping'"

// once is what pings gives when n events are there, each once.
func once(n int) string { return strconv.Itoa(n*1_000_000 + n) }

func TestKilledRunLeavesNothingBehindThatHindersTheNext(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	s.track("ann", 0, 20)
	s.eventually(pings, once(20))
	s.crash()
	s.run()                // same folder, same ports, at once
	s.track("ann", 10, 40) // ten of them again
	s.eventually(pings, once(40))

	s.stop()
	s.run()
	s.track("ann", 40, 50)
	s.eventually(pings, once(50))
}

func TestEachPartMayBeKilledWhileEventsComeIn(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	n := 0
	for _, part := range []string{"clickhouse", "engager", "worker", "sink", "gateway"} {
		s.track("bob", n, n+10)
		s.kill(part)
		s.track("bob", n+10, n+20)
		n += 20
		s.back(part, 1)
	}
	s.eventually(pings, once(n))
}

// At rest, because kfake ends a transaction in more than one write; make torture kills real brokers in
// the middle of them.
func TestEmbeddedKafkaMayBeKilledAtRest(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	s.track("cid", 0, 20)
	s.eventually(pings, once(20))
	s.kill("kafka")
	s.back("kafka", 1)
	s.track("cid", 10, 40) // ten of them again
	s.eventually(pings, once(40))
}

// The limit lies a little below what is free now; then a file takes more than that little.
func TestRunStopsInOrderBeforeItsDiskIsFull(t *testing.T) {
	const little = 192 // MiB
	dir := t.TempDir()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	free := int(disk.Bavail * uint64(disk.Bsize) >> 20)
	s := start(t, backend{name: "embedded", flags: []string{"--min-free", strconv.Itoa(free - little)}})
	s.track("dan", 0, 20)

	big, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for range little + 64 {
		if _, err := big.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := big.Close(); err != nil {
		t.Fatal(err)
	}
	if !s.out.wait("MiB left") {
		t.Fatalf("it goes on with a full disk:\n%s", s.out)
	}
	<-s.out.done
	if err := s.cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
	s.cmd = nil
	says(t, s.out.String()[strings.Index(s.out.String(), "stopping all parts"):], "free some space", "--data")

	if err := os.Remove(big.Name()); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.eventually(pings, once(20))
}

// refused runs dwell dev and returns what it says before it gives up.
func refused(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"dev"}, args...)...)
	cmd.Env = append(append(os.Environ(), "KAFKA=embedded"), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err == nil {
		t.Errorf("dwell dev %v ended well", args)
	}
	return out.String()
}

func says(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("it does not say %q:\n%s", w, out)
		}
	}
	if strings.Count(out, "\n") > 5 {
		t.Errorf("that is no clear sentence:\n%s", out)
	}
}

func TestWhatStandsInTheWayIsNamedWithWhatToDo(t *testing.T) {
	ports := freePorts(t)
	data := filepath.Join(t.TempDir(), "data")
	args := []string{"--data", data}
	for name, port := range ports {
		args = append(args, "--"+name+"-port", strconv.Itoa(port))
	}
	t.Run("a port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports["http"]))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		says(t, refused(t, nil, args...), fmt.Sprintf("port %d (pages and API) is in use", ports["http"]), "--http-port", "DWELL_HTTP_PORT")
	})
	t.Run("no npm", func(t *testing.T) {
		says(t, refused(t, []string{"PATH=" + t.TempDir(), "DWELL_CACHE=" + t.TempDir()}, args...), "npm", "install")
	})
	t.Run("no Java", func(t *testing.T) {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		if set := os.Getenv("DWELL_CACHE"); set != "" {
			cache = filepath.Dir(set)
		}
		env := []string{"PATH=" + t.TempDir(), "JAVA_HOME=", "DWELL_CACHE=" + filepath.Join(cache, "dwell")}
		says(t, refused(t, env, append(args, "--kafka", "real")...), "Java", "install")
	})
	t.Run("a full disk", func(t *testing.T) {
		says(t, refused(t, []string{"DWELL_MIN_FREE=1000000000"}, args...), "MiB left", "free some space", "--data", "--min-free")
	})
	t.Run("another run", func(t *testing.T) {
		s := start(t, backend{name: "embedded"})
		says(t, refused(t, nil, "--data", s.data), "another dwell runs on", "--data")
	})
	t.Run("wrong settings", func(t *testing.T) {
		says(t, refused(t, nil, "--data", data, "--http-port", "0", "--kafka", "outside"), "--http-port", "--brokers")
	})
}

func TestAllFaultsOfACampaignFileAreNamedWithTheirLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	const text = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: bad}
spec:
  state: live
  trigger:
    pattern:
      count: {evnt: x, times: 0}
    within: soon
  channels: [{type: fax}]
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "apply", "-f", file, "--brokers", "127.0.0.1:1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("it was applied: %s", out)
	}
	for _, want := range []string{"bad.yaml:8", "evnt", "event", "times", "bad.yaml:9", "soon", "bad.yaml:10", "fax"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no word of %q in:\n%s", want, out)
		}
	}
}
