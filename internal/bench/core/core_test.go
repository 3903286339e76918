package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded"
)

// TestMain lets the test binary be the processes that a bench starts.
func TestMain(m *testing.M) {
	if os.Getenv("DWELL_BENCH_CHILD") != "" {
		if err := Child(context.Background(), os.Args[len(os.Args)-1], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func testConfig(t *testing.T, broker string, stacks ...string) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DWELL_BENCH_CHILD", "1")
	return Config{
		Broker: broker, Users: 500, Partitions: 4, Interval: 20 * time.Millisecond, StreamsInterval: 20 * time.Millisecond,
		Stacks: stacks, Child: []string{self}, Say: func(s string) { t.Log(s) },
	}
}

// patient is a context that ends before the test binary is killed.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// complete checks that a stack ran, counted everything and measured itself.
func complete(t *testing.T, r Result, stack string, n int) {
	t.Helper()
	if r.Stack != stack || !r.OK() || r.Actions != actionsOf(n) || r.ActionsExpected != actionsOf(n) || r.WrongRows != 0 {
		t.Errorf("%s: %+v", stack, r)
	}
	if r.RSSMB < 5 || r.Measured < 0 || r.Measured > int64(n) || (r.Measured > 0) != (r.EventsPerSecond > 0) {
		t.Errorf("%s: figures that cannot be: %+v", stack, r)
	}
	if r.Measured > 0 && r.CPUPerMillion <= 0 {
		t.Errorf("%s used no CPU time: %+v", stack, r)
	}
	if wants := !ofStreams(stack) && r.Measured > 0; wants && (r.AllocsPerEvent == nil || *r.AllocsPerEvent <= 0) {
		t.Errorf("%s allocated nothing: %+v", stack, r)
	}
}

func TestEveryGoStackCountsRight(t *testing.T) {
	const n = 20_050 // the last hundred is not full
	results, err := Throughput{Config: testConfig(t, EmbeddedBroker, Dwell, Goka, Franz), N: n, Rounds: 2}.Run(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 3 {
		t.Fatalf("%d results", len(results))
	}
	for i, s := range []string{Dwell, Goka, Franz} {
		complete(t, results[i], s, n)
	}
	var table bytes.Buffer
	Print(&table, results)
	t.Logf("\n%s", &table)
	for _, want := range []string{"goka + sarama + leveldb", "201 of 201"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, &table)
		}
	}
}

func TestKafkaStreamsCountsRight(t *testing.T) {
	if testing.Short() {
		t.Skip("two JVMs: not in -short")
	}
	const n = 20_000
	results, err := Throughput{Config: testConfig(t, RealBroker, Dwell, Streams, StreamsMemory), N: n, Rounds: 1}.Run(patient(t))
	if errors.Is(err, embedded.ErrNoJava) || errors.Is(err, embedded.ErrNoMaven) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	complete(t, results[0], Dwell, n)
	if len(results) == 1 {
		t.Skip("no JDK or no Maven: see the log")
	}
	complete(t, results[1], Streams, n)
	complete(t, results[2], StreamsMemory, n)
}

func TestStreamsIsLeftOutWhereItCannotRun(t *testing.T) {
	cfg := testConfig(t, EmbeddedBroker, Streams)
	var said []string
	cfg.Say = func(s string) { said = append(said, s) }
	if _, err := (Throughput{Config: cfg, N: 100, Rounds: 1}).Run(patient(t)); !errors.Is(err, ErrNoStreams) {
		t.Errorf("err = %v", err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "--broker real") {
		t.Errorf("said %q", said)
	}
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := buildApp(t.Context(), t.TempDir(), func(string) {}); !errors.Is(err, ErrNoStreams) || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("without Java: %v", err)
	}
}

func TestAFailingStackSaysSo(t *testing.T) {
	cfg := testConfig(t, EmbeddedBroker, Franz, Dwell)
	// The broker is child number one; a wrapper lets it through and fails the stack named franz.
	cfg.Child = []string{"/bin/sh", "-c", `case "$1" in *'"stack":"franz"'*) echo "out of luck" >&2; exit 3;; esac; exec "$0" "$1"`, cfg.Child[0]}
	results, err := Throughput{Config: cfg, N: 1000, Rounds: 1}.Run(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.OK() || !strings.Contains(r.Error, "exit status 3") || !strings.Contains(r.Error, "out of luck") {
		t.Errorf("franz: %+v", r)
	}
	complete(t, results[1], Dwell, 1000)
}

func TestEveryActionsDelayIsTaken(t *testing.T) {
	l := Latency{Config: testConfig(t, EmbeddedBroker, Dwell, Franz), Rates: []int{1000}, Seconds: 2}
	delays, err := l.Run(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(delays) != 2 {
		t.Fatalf("%d delays", len(delays))
	}
	for _, d := range delays {
		if !d.OK() || d.Actions != 20 || d.P50 <= 0 || d.P50 > d.P99 || d.P99 > d.P999 || d.P999 > d.Max {
			t.Errorf("%+v", d)
		}
	}
	var table bytes.Buffer
	PrintDelays(&table, delays)
	t.Logf("\n%s", &table)
}

func TestFaultsOfTheConfigurationAreAllNamed(t *testing.T) {
	_, err := Throughput{Config: Config{Stacks: []string{"flink"}, Broker: "nowhere"}}.Run(t.Context())
	for _, want := range []string{"flink", "nowhere", "users", "intervals", "rounds"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := (Latency{Config: testConfig(t, EmbeddedBroker, Dwell), Seconds: 1}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "rates") {
		t.Errorf("without rates: %v", err)
	}
}

// TestWrongOutputIsSeen lies to verify about what the input was.
func TestWrongOutputIsSeen(t *testing.T) {
	ctx := patient(t)
	b, err := open(ctx, testConfig(t, EmbeddedBroker, Franz))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	j, err := b.job(ctx, Franz, "none")
	if err != nil {
		t.Fatal(err)
	}
	row, _ := tallyCodec{}.Append(nil, &tally{Count: 3, Sum: 6})
	once, _ := actionCodec{}.Append(nil, action{number: 100})
	for _, r := range []*kgo.Record{{Topic: j.Actions, Value: once}, {Topic: j.Actions, Value: once}, {Topic: j.table(), Key: []byte("a"), Value: row}, {Topic: j.table(), Key: []byte("b"), Value: row}} {
		if err := b.cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	v, err := b.verify(ctx, j, 200, map[string]tally{"a": {Count: 3, Sum: 7}, "c": {Count: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (verdict{actions: 2, distinct: 1, wrongRows: 3}); v != want { // a is wrong, c is missing, b is nobody's
		t.Errorf("verdict %+v, want %+v", v, want)
	}
	if _, err := b.verify(ctx, j, 50, nil); err == nil || !strings.Contains(err.Error(), "asks for none") {
		t.Errorf("an action of an event that does not exist: %v", err)
	}
}

func TestGuaranteesDecideWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		stack string
		v     verdict
		right bool
	}{
		{Dwell, verdict{10, 10, 0}, true},
		{Dwell, verdict{11, 10, 0}, false},
		{Goka, verdict{11, 10, 0}, true}, // at least once may double
		{Goka, verdict{10, 9, 0}, false}, // but not lose
		{Goka, verdict{10, 10, 1}, false},
	} {
		if got := c.v.right(c.stack, 10); got != c.right {
			t.Errorf("%s %+v: right = %v", c.stack, c.v, got)
		}
	}
}

func TestMedianKeepsWhatWentWrong(t *testing.T) {
	m := median([]Result{{EventsPerSecond: 3}, {EventsPerSecond: 1}, {EventsPerSecond: 2, Wrong: true}})
	if m.EventsPerSecond != 2 || !m.Wrong {
		t.Errorf("%+v", m)
	}
	m = median([]Result{{Error: "no"}, {EventsPerSecond: 5}, {EventsPerSecond: 4}})
	if m.EventsPerSecond != 4 || m.Error != "no" {
		t.Errorf("%+v", m)
	}
}

func TestJSONHasTheFieldsOfTheIssue(t *testing.T) {
	b, err := json.Marshal(Result{Stack: Streams})
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stack", "guarantee", "events_per_second", "cpu_seconds_per_million", "allocs_per_event", "rss_mb"} {
		if _, ok := m[name]; !ok {
			t.Errorf("no %s in %s", name, b)
		}
	}
}

func TestStallsAreRunsOfLateActions(t *testing.T) {
	a := arrivals{want: 8, took: map[uint64]time.Duration{}, twice: 1}
	for i, late := range []bool{true, true, false, true, false, false, true} {
		a.took[uint64(i)] = time.Millisecond
		if late {
			a.took[uint64(i)] = 101 * time.Millisecond
		}
	}
	var d Delay
	a.judge(&d)
	if d.Stalls != 3 || d.Late != 4 || d.Missing != 1 || d.Doubled != 1 || d.Max != 101 {
		t.Errorf("%+v", d)
	}
}

func TestQuantilesAreOfTheTimes(t *testing.T) {
	var times []time.Duration
	for i := range 1000 {
		times = append(times, time.Duration(i+1)*time.Millisecond)
	}
	got := []float64{quantile(times, 0.5), quantile(times, 0.99), quantile(times, 0.999), quantile(times, 1), quantile(nil, 0.5)}
	if want := []float64{500, 990, 999, 1000, 0}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
