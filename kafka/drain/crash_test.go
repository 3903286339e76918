package drain_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/drain"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
	dwellhouse "github.com/dwellhq/dwell/sinks/clickhouse"
	"github.com/dwellhq/dwell/sinks/clickhouse/clickhousetest"
	"github.com/dwellhq/dwell/topics"
)

// victimEnv makes this test binary a drain process: what the test kills.
const victimEnv = "DWELL_TEST_DRAIN"

func TestMain(m *testing.M) {
	if raw := os.Getenv(victimEnv); raw != "" {
		if err := victim(raw); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv("KAFKA") == "real" && !clickhousetest.IsEngine() {
		os.Exit(onRealKafka(m))
	}
	clickhousetest.Main(m)
}

// onRealKafka runs the tests on an Apache Kafka from Maven's jars.
func onRealKafka(m *testing.M) int {
	dir, err := os.MkdirTemp("", "drain-kafka")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	k, err := embedded.StartRealKafka(context.Background(), embedded.RealKafkaConfig{
		Dir: dir, Properties: map[string]string{"group.min.session.timeout.ms": "1000"},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer k.Close()
	if err := os.Setenv(brokersEnv, strings.Join(k.Addrs(), ",")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// victim drains until its parent's pipe closes or it is killed.
func victim(raw string) error {
	var v struct{ Broker, DSN string }
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		return err
	}
	cfg := dwellhouse.DefaultConfig()
	cfg.DSN = v.DSN
	store, err := dwellhouse.Open(cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	d, err := drain.New(victimConfig(v.Broker), small(store)...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	go func() {
		<-d.Ready()
		fmt.Println("ready")
	}()
	return d.Run(ctx)
}

func victimConfig(broker string) drain.Config {
	cfg := drain.DefaultConfig()
	cfg.Kafka.Brokers = []string{broker}
	cfg.Kafka.Partitions = 2
	cfg.SessionTimeout, cfg.Grace, cfg.Backoff, cfg.WriteTimeout = time.Second, time.Second, 200*time.Millisecond, 10*time.Second
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	return cfg
}

// small has ranges so small that a run has many.
func small(store *dwellhouse.Store) []sinks.Pipeline {
	ps := store.Pipelines()[:2] // facts and verdicts: the tables that are not idempotent by key
	for i := range ps {
		ps[i].Batch = sinks.BatchConfig{Rows: 200, Bytes: 1 << 20, Age: 10 * time.Millisecond}
	}
	return ps
}

// world is the embedded Kafka and ClickHouse, and the drain process between them.
type world struct {
	broker string
	engine *clickhousetest.Engine
	cmd    *exec.Cmd
	stdin  io.Closer
	ready  chan struct{}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("kills processes for many seconds")
	}
	w := &world{engine: clickhousetest.Start(t)}
	if w.broker = os.Getenv(brokersEnv); w.broker == "" {
		k, err := embedded.StartKafka(embedded.KafkaConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
		w.broker = k.Addrs()[0]
	}
	if err := kafka.Ensure(t.Context(), victimConfig(w.broker).Kafka, topics.Facts.Spec, topics.Verdicts.Spec, topics.DeadLetters.Spec); err != nil {
		t.Fatal(err)
	}
	cfg := dwellhouse.DefaultConfig()
	cfg.DSN = w.dsn()
	store, err := dwellhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) dsn() string { return "http://" + w.engine.HTTP + "/crash" } // the port changes with each life

func (w *world) spawn(t *testing.T) {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"Broker": w.broker, "DSN": w.dsn()})
	if err != nil {
		t.Fatal(err)
	}
	w.cmd = exec.Command(os.Args[0])
	w.cmd.Env = append(os.Environ(), victimEnv+"="+string(raw))
	w.cmd.Stderr = t.Output()
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	w.ready = ready
	go func() {
		defer close(ready)
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "ready" {
		}
	}()
}

// atWork waits until the newest drain has dealt with what others left.
func (w *world) atWork(t *testing.T) {
	t.Helper()
	select {
	case <-w.ready:
	case <-time.After(patient):
		t.Fatal("the drain is not ready")
	}
}

func (w *world) kill(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = w.cmd.Wait()
}

// number asks ClickHouse, waiting for it to answer.
func (w *world) number(query string) (int, error) {
	opt, err := clickhouse.ParseDSN(w.dsn())
	if err != nil {
		return 0, err
	}
	conn, err := clickhouse.Open(opt)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var n uint64
	err = conn.QueryRow(context.Background(), "SELECT toUInt64(("+query+"))").Scan(&n)
	return int(n), err
}

// traffic writes rounds of facts and verdicts until told to stop; it returns how many of each.
func (w *world) traffic(ctx context.Context) (facts, verdicts int, err error) {
	cl, err := victimConfig(w.broker).Kafka.NewClient("traffic", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("traffic"))
	if err != nil {
		return 0, 0, err
	}
	defer cl.Close()
	for round := 0; ctx.Err() == nil; round++ {
		if err := cl.BeginTransaction(); err != nil {
			return 0, 0, err
		}
		commit := kgo.TransactionEndTry(round%7 != 3)
		var block []*schemas.Fact
		for i := range 10 {
			block = append(block, &schemas.Fact{EventID: fmt.Sprintf("%d-%d", round, i), Tenant: "t", User: fmt.Sprint("u", i), Name: "View", Type: "track", TimeMS: time.Now().UnixMilli(), ReceivedMS: time.Now().UnixMilli(), N: 1})
		}
		packed, err := schemas.FactBlocks{}.Pack(block)
		if err != nil {
			return 0, 0, err
		}
		cl.Produce(context.Background(), &kgo.Record{Topic: topics.Facts.Name, Partition: int32(round % 2), Value: packed[0]}, nil)
		for i := range 3 {
			v, err := topics.Verdicts.Codec.Append(nil, &schemas.Verdict{Id: fmt.Sprintf("%d-%d", round, i), Tenant: "t", User: fmt.Sprint("u", i), Campaign: "c", Verdict: "SENT", DecidedMs: time.Now().UnixMilli()})
			if err != nil {
				return 0, 0, err
			}
			cl.Produce(context.Background(), &kgo.Record{Topic: topics.Verdicts.Name, Partition: int32(round % 2), Value: v}, nil)
		}
		if err := cl.Flush(context.Background()); err != nil {
			return 0, 0, err
		}
		if err := cl.EndTransaction(context.Background(), commit); err != nil {
			return 0, 0, err
		}
		if commit {
			facts, verdicts = facts+10, verdicts+3
		}
		wait(ctx, 5*time.Millisecond)
	}
	return facts, verdicts, nil
}

func TestKillOfTheSinkAtAnyMomentLosesAndDoublesNothing(t *testing.T) { crash(t, 10, 0) }

func TestKillOfSinkAndClickHouseLosesAndDoublesNothing(t *testing.T) { crash(t, 3, 2) }

// crash kills the drain process, and ClickHouse too, at random moments under traffic.
func crash(t *testing.T, kills, engineKills int) {
	t.Helper()
	w := newWorld(t)
	w.under(t, kills, func() {
		for range kills {
			w.atWork(t) // so that each life works on what the one before left
			wait(t.Context(), rand.N(400*time.Millisecond))
			w.kill(t)
			w.spawn(t)
		}
		for range engineKills {
			w.atWork(t)
			wait(t.Context(), rand.N(400*time.Millisecond))
			w.engine.Kill(t)
			w.kill(t)
			w.engine.Launch(t)
			w.spawn(t)
		}
	})
}

// under runs mischief while traffic flows through a drain process, and then compares every table
// with what was written.
func (w *world) under(t *testing.T, least int, mischief func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var facts, verdicts int
	var trafficErr error
	wg.Go(func() { facts, verdicts, trafficErr = w.traffic(ctx) })
	w.spawn(t)
	mischief()
	wait(t.Context(), 300*time.Millisecond)
	cancel()
	wg.Wait()
	if trafficErr != nil {
		t.Fatal(trafficErr)
	}
	want := map[string]int{
		"SELECT count() FROM events":                                                          facts,
		"SELECT uniqExact(event_id) FROM events":                                              facts,
		"SELECT sum(events) FROM campaigns_by_minute WHERE event = 'View'":                    facts,
		"SELECT count() FROM verdicts":                                                        verdicts,
		"SELECT uniqExact(id) FROM verdicts":                                                  verdicts,
		"SELECT sum(events) FROM campaigns_by_minute WHERE event = 'verdict:sent'":            verdicts,
		"SELECT sum(rows) FROM sink_ledger FINAL":                                             facts + verdicts,
		"SELECT count() FROM campaigns_by_minute WHERE event NOT IN ('View', 'verdict:sent')": 0,
	}
	eventually(t, "the tables hold each record once", func() error {
		wait(t.Context(), 300*time.Millisecond) // the queries would take the engine's time
		var faults []error
		for query, n := range want {
			if got, err := w.number(query); err != nil || got != n {
				faults = append(faults, fmt.Errorf("%s = %d, want %d", query, got, n), err)
			}
		}
		return errors.Join(faults...)
	})
	_ = w.stdin.Close()
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("the last drain ended with %v", err)
	}
	inserts, err := w.number("SELECT count() FROM sink_ledger FINAL")
	if err != nil || inserts < 2*least {
		t.Errorf("%d inserts, %v: mischief cannot have met any", inserts, err)
	}
	t.Logf("%d facts, %d verdicts, %d inserts", facts, verdicts, inserts)
}
