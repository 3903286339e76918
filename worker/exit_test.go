package worker

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

var visits = topics.Stream[string]("exit.visits.v1")

// TestMain lets the test binary be a worker, to see how its process ends.
func TestMain(m *testing.M) {
	if os.Getenv("DWELL_EXIT_TEST") != "" {
		Main(processors.Define(processors.Processor[int]{
			Name: "exit", Inputs: []processors.Input[int]{processors.On(visits, func(t *processors.Turn[int], _ string) { *t.State++ })},
		}))
		return
	}
	os.Exit(m.Run())
}

// cluster is one with the topic of visits, some of which are no JSON.
func cluster(t *testing.T, good, bad int) *kafkatest.Cluster {
	t.Helper()
	c := kafkatest.Start(t)
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Partitions = c.ListenAddrs(), 2
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := kafka.Ensure(ctx, cfg, visits.Spec); err != nil {
		t.Fatal(err)
	}
	cl, err := cfg.NewClient("test")
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var recs []*kgo.Record
	for i := range good + bad {
		r := &kgo.Record{Topic: visits.Name, Key: []byte("acme/ann"), Value: []byte(`"home"`)}
		if i >= good {
			r.Value = []byte("no JSON")
		}
		recs = append(recs, r)
	}
	if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return c
}

// ended runs a worker as a process of its own until it ends by itself, and returns its exit code and
// what it said.
func ended(t *testing.T, c *kafkatest.Cluster, args ...string) (code int, said string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append([]string{
		"--brokers", strings.Join(c.ListenAddrs(), ","), "--partitions", "2", "--data", t.TempDir(), "--instance", "a", "--admin", "127.0.0.1:0",
	}, args...)...)
	cmd.Env = append(os.Environ(), "DWELL_EXIT_TEST=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestFatalClientErrorEndsTheProcess(t *testing.T) {
	c := cluster(t, 10, 0)
	c.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.InitProducerIDRequest)
		if req.TransactionalID == nil {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return resp, nil, true
	})
	code, said := ended(t, c)
	if code != 1 || !strings.Contains(said, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED") || !strings.Contains(said, "processor exit") {
		t.Errorf("exit %d:\n%s", code, said)
	}
}

func TestTooManyDeadLettersEndTheProcess(t *testing.T) {
	c := cluster(t, 1000, 300)
	for range 2 { // whoever starts it again has the same end
		code, said := ended(t, c)
		if code != 1 || !strings.Contains(said, "records were rejected within 1m0s") || !strings.Contains(said, "dwell dlq show") {
			t.Errorf("exit %d:\n%s", code, said)
		}
	}
}
