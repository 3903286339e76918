package decide

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/internal/bench/child/childtest"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
)

// TestMain lets the test binary be the processes that a bench starts.
func TestMain(m *testing.M) { childtest.Main(m, Child) }

func testConfig(t *testing.T, broker string, peers ...string) Config {
	t.Helper()
	return Config{
		Broker: broker, N: 30_000, Users: 3000, Rounds: 1, Peers: peers, Partitions: 4, Interval: 20 * time.Millisecond, Checkpoint: time.Second,
		Child: []string{childtest.Self(t)}, Say: func(s string) { t.Log(s) },
	}
}

// patient is a context that ends before the test binary is killed.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestTheHundredCampaignsAreWhatTheReportSays(t *testing.T) {
	plans := Plans()
	all, err := parse(plans)
	if err != nil || len(all) != 100 {
		t.Fatalf("%d campaigns: %v", len(all), err)
	}
	readers := map[string]int{}
	count := map[string]int{}
	for i, c := range all {
		for _, s := range c.Trigger.Pattern.Steps() {
			readers[s.Event]++
		}
		for _, u := range c.Trigger.Until {
			readers[u.Event]++
		}
		for what, is := range map[string]bool{
			"where": c.Trigger.Pattern.Steps()[0].Where.String() != "", "gated": len(c.Caps) > 0 && c.Quiet != nil, "trait": c.Audience != nil,
			"delay": c.Delay > 0 && len(c.CancelOn) > 0, "experiment": c.Experiment != nil, "slot": c.Slot != "", c.Trigger.Pattern.Name(): true, "live": c.State == campaign.Live,
		} {
			if is {
				count[what]++
			}
		}
		if plans[i].Where != (c.Trigger.Pattern.Steps()[0].Where.String() != "") || plans[i].Kind != c.Trigger.Pattern.Name() || plans[i].WithinMS != c.Trigger.Frame.Within.Milliseconds() {
			t.Errorf("plan %+v is not its file", plans[i])
		}
	}
	want := map[string]int{
		"where": 50, "gated": 10, "trait": 5, "delay": 14, "experiment": 20, "slot": 50, "live": 100,
		"count": 44, "sequence": 20, "absence": 12, "aggregate": 12, "all_of": 8, "any_of": 4,
	}
	if !maps.Equal(count, want) {
		t.Errorf("they are %v, want %v", count, want)
	}
	if n := slices.Sorted(maps.Values(readers)); len(readers) != eventNames || n[0] < 1 || n[len(n)-1] > 3 || n[len(n)-1] < 2 {
		t.Errorf("%d events, read %d to %d times", len(readers), n[0], n[len(n)-1])
	}
}

func TestAWorkerDecidesAsTheProcessorAlone(t *testing.T) {
	r, err := testConfig(t, "embedded", Dwell, Flink).Run(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 30_000 || r.Campaigns != 100 || r.StepsPerCPUSecond <= 0 || r.AllocsPerStep <= 0 || r.Seen < 1000 || r.Seen > 3000 {
		t.Errorf("figures that cannot be: %+v", r)
	}
	for _, k := range []string{engage.Sent, engage.Duplicate, engage.Reentry, engage.Control, engage.Delay} {
		if r.Verdicts[k] == 0 {
			t.Errorf("no %s: %v", k, r.Verdicts)
		}
	}
	for _, z := range []Sizes{r.Rows, r.TouchedRows} {
		if z.P50 <= 0 || z.P50 > z.P99 || z.P99 > z.Max {
			t.Errorf("sizes %+v", z)
		}
	}
	if len(r.Stacks) != 1 {
		t.Fatalf("flink is not to run on the embedded broker: %+v", r.Stacks)
	}
	s := r.Stacks[0]
	if !s.OK() || s.Facts+r.Verdicts[engage.Duplicate] != 30_000 || !maps.Equal(s.Verdicts, r.Verdicts) || s.RSSMB < 5 {
		t.Errorf("%+v, alone %v", s, r.Verdicts)
	}
	var table, doc bytes.Buffer
	r.Print(&table)
	t.Logf("\n%s", &table)
	for _, want := range []string{"100 campaigns", "every verdict as the processor alone decided"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in the table", want)
		}
	}
	if err := json.NewEncoder(&doc).Encode(r); err != nil || !strings.Contains(doc.String(), `"steps_per_cpu_second"`) {
		t.Errorf("%v: %s", err, &doc)
	}
}

func TestOneVerdictMoreOrLessOrOtherIsSeen(t *testing.T) {
	c := testConfig(t, "embedded", Dwell)
	c.N = 2000
	in := input{plans: Plans(), n: c.N, users: c.Users, partitions: c.Partitions, from: time.Now().Add(-time.Minute).UnixMilli() - int64(c.N)*eventEveryMS}
	_, want, err := in.alone(patient(t), "")
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGround(patient(t), c, in, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	if s := g.once(patient(t), Dwell, want); !s.OK() {
		t.Fatalf("%+v", s)
	}
	other := *want
	other.ids ^= 1
	if s := g.once(patient(t), Dwell, &other); s.OK() || !s.Wrong {
		t.Errorf("another verdict was not seen: %+v", s)
	}
	fewer := *want
	fewer.verdicts = map[string]int64{}
	fewer.add(&schemas.Verdict{Id: "x", Verdict: engage.Sent})
	if s := g.once(patient(t), Dwell, &fewer); s.OK() {
		t.Errorf("a verdict more was not seen: %+v", s)
	}
}

func TestFlinkReadsTheSameEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("two JVMs: not in -short")
	}
	c := testConfig(t, "real", Dwell, Flink)
	c.N = 20_000
	r, err := c.Run(patient(t))
	if errors.Is(err, embedded.ErrNoJava) || errors.Is(err, embedded.ErrNoMaven) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Stacks) == 1 {
		t.Skip("no JDK or no Maven: see the log")
	}
	if s := r.Stacks[1]; !s.OK() || s.Campaigns != 80 || s.Matches == 0 {
		t.Errorf("flink: %+v", s)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.N = 0 }, func(c *Config) { c.Users = 0 }, func(c *Config) { c.Rounds = 0 }, func(c *Config) { c.Interval = 0 }, func(c *Config) { c.Checkpoint = 0 },
	} {
		c := testConfig(t, "embedded", Dwell)
		change(&c)
		if _, err := c.Run(t.Context()); err == nil {
			t.Errorf("taken: %+v", c)
		}
	}
}
