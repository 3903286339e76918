package gateway

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/topics"
)

// TestStoppedBrokerLosesNothingThatWasAcknowledged sends from many clients while the broker stops
// and comes back. Every client sends an event until it is acknowledged.
func TestStoppedBrokerLosesNothingThatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	_, kc := startKafka(t) // for its settings only
	kc.Brokers = c.ListenAddrs()
	cfg := fast()
	cfg.AckTimeout = time.Second
	r := onKafka(t, cfg, c, kc)
	r.keys()

	send := func(id string) reply {
		return r.post("/v1/track", `{"userId":"u`+id+`","event":"e","messageId":"`+id+`"}`, basic(pub))
	}
	if a := send("before"); a.code != 200 {
		t.Fatalf("%d %s", a.code, a.text)
	}
	c.Close()
	began := time.Now()
	a := send("during")
	if took := time.Since(began); a.code != 503 || a.Success || a.header.Get("Retry-After") != "2" || a.header.Get("X-RateLimit-Reset") == "" || took > 5*time.Second {
		t.Fatalf("%d %s after %s", a.code, a.text, took)
	}
	if !r.Ready() {
		t.Error("the gateway sends clients away to nobody")
	}
	if n := r.metric("dwell_gateway_rejected_total"); n != 1 {
		t.Errorf("rejected = %v", n)
	}
	ids := []string{"before", "during"}
	var clients sync.WaitGroup
	for i := range 8 {
		id := fmt.Sprint("client", i)
		ids = append(ids, id)
		clients.Go(func() {
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
				if a, err := r.try("POST", "/v1/track", `{"userId":"u","event":"e","messageId":"`+id+`"}`, basic(pub)); err == nil && a.code == 200 {
					return
				}
			}
			t.Errorf("%s was never acknowledged", id)
		})
	}
	port, err := strconv.Atoi(kc.Brokers[0][strings.LastIndexByte(kc.Brokers[0], ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	again, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	r.until("the retry of what was refused is taken", func() bool { return send("during").code == 200 })
	clients.Wait()
	_, events := read(r, topics.Events, len(ids))
	seen := map[string]int{}
	for _, e := range events {
		seen[e.Id]++
	}
	for _, id := range ids {
		if seen[id] == 0 {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	r.stop() // before the broker goes
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestFullBufferIsSaidAtOnce(t *testing.T) {
	cfg := fast()
	cfg.MaxBatchBytes, cfg.BufferBytes = 64<<10, 64<<10
	cfg.AckTimeout = 10 * time.Second
	r := newRig(t, cfg)
	if a := r.post("/v1/track", win, basic(pub)); a.code != 200 {
		t.Fatalf("%d %s", a.code, a.text)
	}
	stuck := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.Events.Name, Err: kerr.NotLeaderForPartition, Count: -1})
	body := `{"userId":"ann","event":"e","properties":{"x":"` + strings.Repeat("y", 30<<10) + `"}}`
	first := make(chan reply, 2)
	for range 2 {
		go func() {
			a, _ := r.try("POST", "/v1/track", body, basic(pub))
			first <- a
		}()
	}
	r.until("two events wait for Kafka", func() bool { return r.events.cl.BufferedProduceRecords() == 2 })
	began := time.Now()
	a := r.post("/v1/track", body, basic(pub))
	if a.code != 503 || a.header.Get("Retry-After") == "" || time.Since(began) > 5*time.Second || !strings.Contains(a.Error.What, "too much") {
		t.Errorf("%d %s after %s", a.code, a.text, time.Since(began))
	}
	stuck.Remove()
	for range 2 {
		if a := <-first; a.code != 200 {
			t.Errorf("one that waited: %d %s", a.code, a.text)
		}
	}
}

// TestABatchThatKafkaTookHalfOfIsToBeSentAgain: one partition fails for good, the other takes.
func TestABatchThatKafkaTookHalfOfIsToBeSentAgain(t *testing.T) {
	r := newRig(t, fast())
	r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.Events.Name, Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	var items []string
	for i := range 20 {
		items = append(items, fmt.Sprintf(`{"type":"track","userId":"user%d","event":"e","messageId":"%d"}`, i, i))
	}
	a := r.post("/v1/batch", `{"batch":[`+strings.Join(items, ",")+`]}`, basic(pub))
	good := 0
	for _, it := range a.Items {
		if it.Success != (it.Status == 200) || it.Status != 200 && it.Status != 503 {
			t.Errorf("item %+v", it)
		}
		if it.Success {
			good++
		}
	}
	if a.code != 503 || a.header.Get("Retry-After") != "2" || good == 0 || good == 20 || a.Durability != "kafka" {
		t.Fatalf("%d with %d good: %s", a.code, good, a.text)
	}
	_, events := read(r, topics.Events, good)
	for _, e := range events {
		if i, err := strconv.Atoi(e.Id); err != nil || !a.Items[i].Success {
			t.Errorf("event %d is in Kafka and was refused: %v", i, err)
		}
	}
}

func TestBeforeTheBrokerIsSeenClientsAreSentAway(t *testing.T) {
	c, kc := startKafka(t)
	c.Close()
	cfg := fast()
	g, err := New(cfg, kc, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	r := &rig{Gateway: g, t: t}
	a := r.post("/v1/track", win, basic(pub))
	if a.code != 503 || a.header.Get("Retry-After") == "" || g.Ready() {
		t.Errorf("%d %s, ready %v", a.code, a.text, g.Ready())
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestTakenPortIsSaidByNew(t *testing.T) {
	r := newRig(t, fast())
	cfg := fast()
	cfg.Listen = r.Addr()
	if _, err := New(cfg, r.kc, Deps{}); err == nil || !strings.Contains(err.Error(), "open the gateway's listener") {
		t.Errorf("err = %v", err)
	}
}

func TestOtherPartitionsThanConfiguredEndTheGateway(t *testing.T) {
	r := newRig(t, fast())
	kc := r.kc
	kc.Partitions = 7
	g, err := New(fast(), kc, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "2 partitions, not 7") {
		t.Errorf("err = %v", err)
	}
}
