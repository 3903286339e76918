package embedded

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// client is for its caller to close while the broker lives, else that takes long.
func client(t *testing.T, addrs []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func createTopic(t *testing.T, addrs []string, replicas int16) {
	t.Helper()
	c := client(t, addrs)
	defer c.Close()
	resp, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, replicas, nil, "seen")
	if err = errors.Join(err, resp.Err); err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, addrs []string, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := client(t, addrs, kgo.DefaultProduceTopic("seen"), kgo.UnknownTopicRetries(-1))
	defer c.Close()
	if err := c.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume returns the first n values.
func consume(t *testing.T, addrs []string, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := client(t, addrs, kgo.ConsumeTopics("seen"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	var got []string
	for len(got) < n {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read %q, want %d records: %v", got, n, fetches.Err0())
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return strings.Join(got, " ")
}

func TestKafkaFindsItsDataAgain(t *testing.T) {
	dir := t.TempDir()
	k, err := StartKafka(KafkaConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	createTopic(t, k.Addrs(), 1)
	produce(t, k.Addrs(), "one")
	if got := consume(t, k.Addrs(), 1); got != "one" {
		t.Errorf("read %q", got)
	}
	if err := errors.Join(k.Close(), k.Close()); err != nil {
		t.Fatal(err)
	}
	if k, err = StartKafka(KafkaConfig{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	produce(t, k.Addrs(), "two")
	if got := consume(t, k.Addrs(), 2); got != "one two" {
		t.Errorf("read %q after the restart", got)
	}
}

func TestKafkaKeepsAcknowledgedRecordsWhenKilled(t *testing.T) {
	dir := t.TempDir()
	cmd, addr := program(t, "kafka", dir)
	createTopic(t, []string{addr}, 1)
	produce(t, []string{addr}, "one")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	k, err := StartKafka(KafkaConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if got := consume(t, k.Addrs(), 1); got != "one" {
		t.Errorf("read %q", got)
	}
}

func TestKafkaListensOnLoopbackAndCreatesNoTopics(t *testing.T) {
	k, err := StartKafka(KafkaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if len(k.Addrs()) != 1 || !strings.HasPrefix(k.Addrs()[0], "127.0.0.1:") {
		t.Errorf("listens on %q", k.Addrs())
	}
	c := client(t, k.Addrs(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0), kgo.DefaultProduceTopic("seen"))
	defer c.Close()
	if err := c.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("produce to a topic that is not there: %v", err)
	}
}

func TestKafkaSaysWhatStandsInItsWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	_, err = StartKafka(KafkaConfig{Port: port, Dir: dir})
	var inUse *PortInUseError
	if !errors.As(err, &inUse) || inUse.Port != port || !strings.Contains(err.Error(), "embedded Kafka") {
		t.Errorf("port taken: %v", err)
	}

	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(`{"version":`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = StartKafka(KafkaConfig{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "move that folder away") {
		t.Errorf("data damaged: %v", err)
	}

	dir = t.TempDir()
	k, err := StartKafka(KafkaConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := StartKafka(KafkaConfig{Dir: dir}); !errors.Is(err, errHeld) {
		t.Errorf("data in use: %v", err)
	}
}
