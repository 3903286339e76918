package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// start runs s on a free port; stop ends it and returns what Run said.
func start(t *testing.T, s *Server) (url string, stop func() error) {
	t.Helper()
	s.Addr = "127.0.0.1:0"
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var ended atomic.Bool
	stop = func() error {
		ended.Store(true)
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Second):
			t.Fatal("Run did not return")
			return nil
		}
	}
	t.Cleanup(func() {
		if !ended.Load() {
			if err := stop(); err != nil {
				t.Errorf("Run = %v", err)
			}
		}
	})
	return "http://" + s.Address(), stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestReadinessSaysWhyNot(t *testing.T) {
	var why atomic.Pointer[error]
	e := errors.New("3 of 8 partitions restored")
	why.Store(&e)
	url, _ := start(t, &Server{Ready: func() error { return *why.Load() }})
	if code, text := get(t, url+"/readyz"); code != 503 || !strings.Contains(text, "3 of 8 partitions restored") {
		t.Errorf("readyz = %d %q", code, text)
	}
	if code, _ := get(t, url+"/healthz"); code != 200 {
		t.Errorf("healthz = %d while not ready; a restoring worker must live", code)
	}
	e2 := error(nil)
	why.Store(&e2)
	if code, _ := get(t, url+"/readyz"); code != 200 {
		t.Errorf("readyz = %d", code)
	}
}

func TestMetricsCarryTheRole(t *testing.T) {
	reg, labelled := NewRegistry("engager")
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "dwell_test_total", Help: "A test."})
	labelled.MustRegister(c)
	c.Add(7)
	url, _ := start(t, &Server{Metrics: reg})
	code, text := get(t, url+"/metrics")
	if code != 200 {
		t.Fatalf("metrics = %d", code)
	}
	for _, want := range []string{`dwell_test_total{role="engager"} 7`, `go_goroutines{role="engager"}`, `process_resident_memory_bytes{role="engager"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestStatusIsJSON(t *testing.T) {
	url, _ := start(t, &Server{Status: func() any { return map[string]int{"waiting": 3} }})
	code, text := get(t, url+"/status")
	var got map[string]int
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != 200 || got["waiting"] != 3 {
		t.Errorf("status = %d %q (%v)", code, text, err)
	}
	bad, _ := start(t, &Server{Status: func() any { return func() {} }})
	if code, text := get(t, bad+"/status"); code != 500 || !strings.Contains(text, "encode the status") {
		t.Errorf("unencodable status = %d %q", code, text)
	}
	empty, _ := start(t, &Server{})
	if code, text := get(t, empty+"/status"); code != 200 || strings.TrimSpace(text) != "{}" {
		t.Errorf("no status = %d %q", code, text)
	}
}

func TestProfilesAreServed(t *testing.T) {
	url, _ := start(t, &Server{})
	for _, p := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline", "/debug/pprof/heap"} {
		if code, _ := get(t, url+p); code != 200 {
			t.Errorf("%s = %d", p, code)
		}
	}
	if code, _ := get(t, url+"/nothing"); code != 404 {
		t.Errorf("an unknown path = %d", code)
	}
}

func TestTakenPortIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{Addr: l.Addr().String()}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Run = %v, want an error that names the address", err)
	}
	if s.Address() != "" {
		t.Errorf("Address = %q", s.Address())
	}
}

func TestStopEndsARunningProfile(t *testing.T) {
	url, stop := start(t, &Server{})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if res, err := http.Get(url + "/debug/pprof/trace?seconds=60"); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, text := get(t, url+"/debug/pprof/goroutine?debug=2"); strings.Contains(text, "pprof.Trace") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the trace did not start")
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	<-answered
}

func TestProbeDuringStopSaysStopping(t *testing.T) {
	s := &Server{Ready: func() error { return nil }}
	s.stopping = true
	if err := s.ready(); !errors.Is(err, errStopping) {
		t.Errorf("ready = %v", err)
	}
}
