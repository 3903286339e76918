package drain_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/drain"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/topics"
)

// patient is for what needs a rebalance: the session of a member that died (at most 2 s) or the time
// that one takes to let go (grace and commit, 11 s), and as much again on a busy machine.
const patient = 30 * time.Second

// brokersEnv names a real Kafka to run against; tests that need the fake one are then skipped.
const brokersEnv = "DWELL_TEST_BROKERS"

// broker is a cluster with a topic for one test.
type broker struct {
	*kafkatest.Cluster // nil for a real one
	source             *topics.Spec
	name               string // of the pipeline
	cfg                drain.Config
	cl                 *kgo.Client
	adm                *kadm.Client
}

func startBroker(t *testing.T, partitions int32) *broker {
	t.Helper()
	b := &broker{cfg: drain.DefaultConfig(), name: fmt.Sprint("test-", time.Now().UnixNano())}
	b.source = &topics.Spec{Name: b.name + ".v1"}
	if addrs := os.Getenv(brokersEnv); addrs != "" {
		b.cfg.Kafka.Brokers = strings.Split(addrs, ",")
	} else {
		b.Cluster = kafkatest.Start(t)
		b.cfg.Kafka.Brokers = b.ListenAddrs()
	}
	b.cfg.Kafka.Partitions = partitions
	b.cfg.SessionTimeout, b.cfg.Grace, b.cfg.Backoff = 2*time.Second, time.Second, 100*time.Millisecond
	b.cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := kafka.Ensure(ctx, b.cfg.Kafka, b.source, topics.DeadLetters.Spec); err != nil {
		t.Fatal(err)
	}
	var err error
	b.cl, err = b.cfg.Kafka.NewClient("test", kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cl.Close)
	b.adm = kadm.NewClient(b.cl)
	return b
}

// produce appends one record a value to a partition.
func (b *broker) produce(t *testing.T, partition int32, values ...string) {
	t.Helper()
	var rs []*kgo.Record
	for _, v := range values {
		rs = append(rs, &kgo.Record{Topic: b.source.Name, Partition: partition, Value: []byte(v)})
	}
	if err := b.cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// fake skips the test on a real broker.
func (b *broker) fake(t *testing.T) {
	t.Helper()
	if b.Cluster == nil {
		t.Skip("needs the fake broker")
	}
}

// transaction appends values to a partition and commits or aborts them.
func (b *broker) transaction(t *testing.T, partition int32, commit bool, values ...string) {
	t.Helper()
	cl, err := b.cfg.Kafka.NewClient("test-tx", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(b.name))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		cl.Produce(t.Context(), &kgo.Record{Topic: b.source.Name, Partition: partition, Value: []byte(v)}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		t.Fatal(err)
	}
}

// values are n different ones.
func values(prefix string, n int) []string {
	var vs []string
	for i := range n {
		vs = append(vs, fmt.Sprint(prefix, i))
	}
	return vs
}

func (b *broker) pipeline(s sinks.Sink) sinks.Pipeline {
	return sinks.Pipeline{Name: b.name, Topic: b.source, Sink: s, Batch: sinks.BatchConfig{Rows: 7, Bytes: 1 << 20, Age: 5 * time.Millisecond}}
}

// run drains until the returned stop, which waits for the end.
func (b *broker) run(t *testing.T, p sinks.Pipeline) (*drain.Drain, func()) {
	t.Helper()
	d, err := drain.New(b.cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patient):
			t.Error("run did not end")
		}
	})
	t.Cleanup(stop)
	return d, stop
}

// offset is the group's commit of a partition.
func (b *broker) offset(t *testing.T, partition int32) (int64, string) {
	t.Helper()
	os, err := b.adm.FetchOffsets(t.Context(), "dwell.sink-"+b.name)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := os.Lookup(b.source.Name, partition)
	if !ok {
		return -1, ""
	}
	return o.At, o.Metadata
}

// commit writes a group's offset as an operator or an owner before would.
func (b *broker) commit(t *testing.T, partition int32, at int64, metadata string) {
	t.Helper()
	os := kadm.Offsets{}
	os.Add(kadm.Offset{Topic: b.source.Name, Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	if err := b.adm.CommitAllOffsets(t.Context(), "dwell.sink-"+b.name, os); err != nil {
		t.Fatal(err)
	}
}

// letters reads the dead letters that are there.
func (b *broker) letters(t *testing.T) []*schemas.DeadLetter {
	t.Helper()
	ends, err := b.adm.ListEndOffsets(t.Context(), topics.DeadLetters.Name)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topics.DeadLetters.Name, 0)
	cl, err := b.cfg.Kafka.NewClient("test-letters", kgo.ConsumeTopics(topics.DeadLetters.Name), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var all []*schemas.DeadLetter
	for next := int64(0); next < end.Offset; {
		for r := range cl.PollFetches(t.Context()).RecordsAll() {
			next = r.Offset + 1
			l, err := topics.DeadLetters.Codec.Decode(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if l.Topic == b.source.Name {
				all = append(all, l)
			}
		}
	}
	return all
}

// eventually waits until ok says nil.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patient); time.Now().Before(end); {
		if err = ok(); err == nil {
			return
		}
		wait(t.Context(), 5*time.Millisecond)
	}
	t.Fatalf("%s: %v", what, err)
}

// wait is the pause between two looks at a condition.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// once says whether each value landed exactly once, and nothing else did.
func once(landed map[string]int, want ...[]string) error {
	var faults []error
	total := 0
	for _, vs := range want {
		for _, v := range vs {
			total++
			if n := landed[v]; n != 1 && len(faults) < 5 {
				faults = append(faults, fmt.Errorf("%s landed %d times", v, n))
			}
		}
	}
	if len(landed) != total {
		faults = append(faults, fmt.Errorf("%d values landed, want %d", len(landed), total))
	}
	return errors.Join(faults...)
}
