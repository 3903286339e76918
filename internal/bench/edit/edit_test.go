package edit

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/bench/child/childtest"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/worker"
)

// TestMain lets the test binary be the processes that a bench starts.
func TestMain(m *testing.M) {
	childtest.Main(m, func(ctx context.Context, spec string, in io.Reader, out io.Writer) error {
		if strings.HasPrefix(os.Args[1], "--") {
			worker.Main(engage.Processor)
			return nil
		}
		return Child(ctx, spec, in, out)
	})
}

func testConfig(t *testing.T) Config {
	t.Helper()
	self := childtest.Self(t)
	return Config{
		Broker: "embedded", Rate: 1500, Edits: 4, Every: time.Second, Workers: 2, Users: 500, Partitions: 4,
		Child: []string{self}, Worker: []string{self}, Say: func(s string) { t.Log(s) },
	}
}

// The rate is what a busy CI machine bears beside the race detector; `dwell bench edit` has the real one.
func TestEditsUnderLoadLoseAndMixNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	r, err := testConfig(t).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var table, doc bytes.Buffer
	r.Print(&table)
	t.Logf("\n%s", &table)
	if !r.OK() || r.First != "" || len(r.Edits) != 4 {
		t.Errorf("%+v", r)
	}
	if r.Events < 1500*4 || r.Verdicts < r.Events/5 || r.Replayed < r.Verdicts {
		t.Errorf("%d events, %d verdicts, %d replayed: too few to say much", r.Events, r.Verdicts, r.Replayed)
	}
	for _, e := range r.Edits {
		if e.AnswerMS <= 0 || e.EverywhereMS <= 0 || e.EverywhereMS > 60_000 || e.Version == "" {
			t.Errorf("%+v", e)
		}
	}
	if err := json.NewEncoder(&doc).Encode(r); err != nil || !strings.Contains(doc.String(), `"everywhere_ms"`) {
		t.Errorf("%v: %s", err, &doc)
	}
}

// small is a log of one partition: six ticks, the first three by edit 0, the others by edit 1.
func small(t *testing.T) (p plan, all []*schemas.Verdict) {
	t.Helper()
	p, err := newPlan(2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(6) {
		k := int(i / 3)
		all = append(all, &schemas.Verdict{Campaign: probe, Version: p.version(probe, k), SrcTopic: "e", SrcOffset: 10 * i, Verdict: engage.Sent})
	}
	return p, all
}

func read(t *testing.T, p plan, all []*schemas.Verdict) (*decided, *Report) {
	t.Helper()
	d, r := newDecided(p), &Report{}
	for _, v := range all {
		b, err := v.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		d.add(v, b, r)
	}
	return d, r
}

func TestWhatTheCheckMustSeeItSees(t *testing.T) {
	p, sound := small(t)
	d, r := read(t, p, sound)
	if got := d.from[turn{probe, 0}]; r.Mixed != 0 || got[0] != 0 || got[1] != 30 || got[2] != never {
		t.Errorf("a sound log: %+v, %v", r, got)
	}
	at := func(o int64) schemas.Coordinates { return schemas.Coordinates{Topic: "e", Offset: o} }
	one := d.verdicts[at(0)]
	if d.compare(at(0), one, r); r.Lost+r.Extra+r.Other != 0 {
		t.Errorf("the same: %+v", r)
	}
	if d.compare(at(10), nil, r); r.Extra != 1 {
		t.Errorf("one too many: %+v", r)
	}
	if d.compare(at(20), one, r); r.Other != 1 {
		t.Errorf("another one: %+v", r)
	}
	if d.compare(at(25), one, r); r.Lost != 1 || r.OK() {
		t.Errorf("a lost one: %+v", r)
	}

	p, mixed := small(t)
	mixed[4].Version = p.version(probe, 0)
	if _, r := read(t, p, mixed); r.Mixed != 1 || r.OK() || r.First == "" {
		t.Errorf("an old version after a new one: %+v", r)
	}
	p, foreign := small(t)
	foreign[2].Version = "nobody's"
	if _, r := read(t, p, foreign); r.Mixed != 1 {
		t.Errorf("a version that was never applied: %+v", r)
	}
}

func TestEveryEditIsAVersionOfItsOwn(t *testing.T) {
	const edits = 12
	p, err := newPlan(edits)
	if err != nil {
		t.Fatal(err)
	}
	for k := range edits + 1 {
		if p.number(probe, p.version(probe, k)) != k || p.number(gate, p.version(gate, k)) != k || p.number(streak, p.version(streak, k)) != 0 {
			t.Errorf("edit %d: versions %s, %s, %s", k, p.version(probe, k), p.version(gate, k), p.version(streak, k))
		}
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.Rate = 0 }, func(c *Config) { c.Edits = 0 }, func(c *Config) { c.Every = 0 }, func(c *Config) { c.Workers = 0 },
		func(c *Config) { c.Users = 0 }, func(c *Config) { c.Partitions = 1 },
	} {
		c := testConfig(t)
		change(&c)
		if _, err := c.Run(t.Context()); err == nil {
			t.Errorf("taken: %+v", c)
		}
	}
}
