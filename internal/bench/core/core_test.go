package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/internal/bench/child/childtest"
)

// TestMain lets the test binary be the processes that a bench starts.
func TestMain(m *testing.M) { childtest.Main(m, Child) }

func testConfig(t *testing.T, broker string, stacks ...string) Config {
	t.Helper()
	return Config{
		Broker: broker, Users: 500, Partitions: 4, Interval: 20 * time.Millisecond, StreamsInterval: 20 * time.Millisecond,
		Stacks: stacks, Child: []string{childtest.Self(t)}, Say: func(s string) { t.Log(s) },
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
	for _, event := range []string{Raw, Protobuf} {
		t.Run(event, func(t *testing.T) {
			cfg := testConfig(t, EmbeddedBroker, Dwell, Goka, Franz)
			cfg.Event = event
			results, err := Throughput{Config: cfg, N: n, Rounds: 2}.Run(patient(t))
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != 3 {
				t.Fatalf("%d results", len(results))
			}
			for i, s := range []string{Dwell, Goka, Franz} {
				complete(t, results[i], s, n)
				if results[i].Event != event || results[i].EventBytes != eventBytes {
					t.Errorf("%s: %+v", s, results[i])
				}
			}
			var table bytes.Buffer
			Print(&table, results)
			t.Logf("\n%s", &table)
			for _, want := range []string{"event: " + event, "goka + sarama + leveldb", "201 of 201"} {
				if !strings.Contains(table.String(), want) {
					t.Errorf("no %q in\n%s", want, &table)
				}
			}
		})
	}
}

func TestKafkaStreamsCountsRight(t *testing.T) {
	if testing.Short() {
		t.Skip("two JVMs: not in -short")
	}
	const n = 20_000
	for event, stacks := range map[string][]string{Raw: {Dwell, Streams, StreamsMemory}, Protobuf: {Dwell, Streams}} {
		t.Run(event, func(t *testing.T) {
			cfg := testConfig(t, RealBroker, stacks...)
			cfg.Event = event
			results, err := Throughput{Config: cfg, N: n, Rounds: 1}.Run(patient(t))
			if errors.Is(err, embedded.ErrNoJava) || errors.Is(err, embedded.ErrNoMaven) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				complete(t, r, stacks[i], n)
			}
			if len(results) == 1 {
				t.Skip("no JDK or no Maven: see the log")
			}
		})
	}
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
	cfg := testConfig(t, EmbeddedBroker, Dwell, Franz)
	cfg.Event = Protobuf
	l := Latency{Config: cfg, Rates: []int{1000}, Seconds: 2}
	delays, err := l.Run(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(delays) != 2 {
		t.Fatalf("%d delays", len(delays))
	}
	for _, d := range delays {
		if !d.OK() || d.Event != Protobuf || d.Actions != 20 || d.P50 <= 0 || d.P50 > d.P99 || d.P99 > d.P999 || d.P999 > d.Max {
			t.Errorf("%+v", d)
		}
	}
	var table bytes.Buffer
	PrintDelays(&table, delays)
	t.Logf("\n%s", &table)
}

func TestLongRunsInMemoryAreForeseen(t *testing.T) {
	if got := (Latency{Rates: []int{5000, 50_000, 20_000}, Seconds: 600}).memory() >> 20; got != 17_251 {
		t.Errorf("%d MB", got)
	}
	if got := (Latency{Rates: []int{5000, 20_000, 50_000}, Seconds: 15}).memory() >> 20; got > manyMB {
		t.Errorf("a usual run is said to need %d MB", got)
	}
}

func TestFaultsOfTheConfigurationAreAllNamed(t *testing.T) {
	_, err := Throughput{Config: Config{Stacks: []string{"flink"}, Broker: "nowhere", Event: "avro"}}.Run(t.Context())
	for _, want := range []string{"flink", "nowhere", "avro", "users", "intervals", "rounds"} {
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
	once, _ := actionCodec{}.Append(nil, action{100, loadedNS(100)})
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
	late, _ := actionCodec{}.Append(nil, action{100, loadedNS(100) + 1})
	if err := b.cl.ProduceSync(ctx, &kgo.Record{Topic: j.Actions, Value: late}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.verify(ctx, j, 200, nil); err == nil || !strings.Contains(err.Error(), "was sent at") {
		t.Errorf("an action with a wrong send time: %v", err)
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
	for _, name := range []string{"stack", "guarantee", "event", "event_bytes", "events_per_second", "cpu_seconds_per_million", "allocs_per_event", "rss_mb"} {
		if _, ok := m[name]; !ok {
			t.Errorf("no %s in %s", name, b)
		}
	}
}

func TestStallsAreRunsOfLateActions(t *testing.T) {
	const rate, warm = 1000, 3050 // the first event that counts asks for nothing; the one 50 ms later does
	a := newArrivals(warm, warm+1000, rate)
	sent := time.UnixMilli(1_800_000_000_000)
	come := func(i int, took time.Duration) {
		t.Helper()
		value, _ := actionCodec{}.Append(nil, action{number: 3100 + 100*uint64(i), sentNS: sent.UnixNano()})
		if err := a.take(value, sent.Add(took)); err != nil {
			t.Fatal(err)
		}
	}
	for i, took := range []int{150, 101, 100, 0, 900, 1, 2, 3, 250, 4} { // milliseconds; 0 does not come
		if took > 0 {
			come(i, time.Duration(took)*time.Millisecond)
		}
	}
	come(1, time.Millisecond)   // again: what came first counts
	come(-10, time.Millisecond) // before the seconds that count
	s := sender{rate: rate, warm: warm, first: int(a.first), held: make([]time.Duration, len(a.took))}
	for i := warm; i < warm+1000; i++ {
		s.note(i, time.Duration(i%1000)*time.Microsecond)
	}
	var d Delay
	a.judge(&d, s.held)
	if d.Actions != 9 || d.Stalls != 3 || d.Late != 4 || d.Missing != 1 || d.Doubled != 1 || d.P50 != 100 || d.Max != 900 {
		t.Errorf("%+v", d)
	}
	if want := []Stall{{0.05, 2, 150, 0.2}, {0.45, 1, 900, 0.5}, {0.85, 1, 250, 0.9}}; !slices.Equal(d.Longest, want) {
		t.Errorf("stalls %v, want %v", d.Longest, want)
	}
	nobodys, _ := actionCodec{}.Append(nil, action{number: 4100})
	if err := a.take(nobodys, sent); err == nil || !strings.Contains(err.Error(), "asks for none") {
		t.Errorf("an action of an event that was not sent: %v", err)
	}
}

func TestTheWorstStallsAreListed(t *testing.T) {
	var stalls []Stall
	for i := range 3 * listedStalls {
		stalls = append(stalls, Stall{At: float64(i), Actions: 1, Max: float64(101 + i%3)})
	}
	got := longest(stalls)
	if len(got) != listedStalls {
		t.Fatalf("%d listed", len(got))
	}
	for i, s := range got {
		if want := float64(3*i + 2); s.At != want || s.Max != 103 {
			t.Errorf("%d: %+v, want that at %v", i, s, want)
		}
	}
	if few := longest(stalls[:3]); !slices.Equal(few, stalls[:3]) {
		t.Errorf("%v", few)
	}
	var table bytes.Buffer
	PrintDelays(&table, []Delay{{Stack: Dwell, Event: Protobuf, Stalls: len(stalls), Longest: got}})
	for _, want := range []string{"event: protobuf", "stalled at 149.0 s: 1 actions, up to 103.0 ms; the sender was up to 0.0 ms behind", "and 100 stalls more"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, &table)
		}
	}
}

func TestProgressTellsWhatCameSinceTheLastLine(t *testing.T) {
	a := newArrivals(300, 300+120*100, 100)
	sent := time.UnixMilli(1_800_000_000_000)
	for i, took := range []time.Duration{time.Millisecond, 300 * time.Millisecond, 200 * time.Millisecond} {
		value, _ := actionCodec{}.Append(nil, action{300 + 100*uint64(i), sent.UnixNano()})
		if err := a.take(value, sent.Add(took)); err != nil {
			t.Fatal(err)
		}
	}
	got := []string{a.progress(60*time.Second + 80*time.Millisecond), a.progress(120 * time.Second)}
	want := []string{"1m0s of 2m0s, 3 actions; since the last line 2 over 100ms, the worst 300.0 ms", "2m0s of 2m0s, 3 actions"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
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
