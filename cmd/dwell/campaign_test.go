package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/internal/config"
	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/internal/why"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
	"github.com/dwellhq/dwell/worker"
)

const patience = livetest.Patience

// shop is a broker, and a worker that decides, in this process.
type shop struct {
	t   *testing.T
	cfg kafka.Config
	dir string
	// metrics of the worker.
	metrics *prometheus.Registry
}

func newShop(t *testing.T, work bool) *shop {
	t.Helper()
	s := &shop{t: t, cfg: livetest.Kafka(t, 4), dir: t.TempDir(), metrics: prometheus.NewRegistry()}
	if work {
		s.work()
	}
	return s
}

// startWorker runs a worker that decides until the test ends. It may not be ready yet.
func startWorker(t *testing.T, cluster kafka.Config, metrics *prometheus.Registry) *worker.Worker {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w, err := worker.New(ctx, worker.Config{Config: cluster, Data: t.TempDir(), Instance: "one"}, metrics, engage.Processor)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	return w
}

func (s *shop) work() {
	s.t.Helper()
	w := startWorker(s.t, s.cfg, s.metrics)
	s.until("the worker is ready and says so", func() bool {
		_, err := declare.Wait(s.t.Context(), s.cfg)
		return err == nil && w.Ready() == nil
	})
}

func (s *shop) until(what string, ok func() bool) {
	s.t.Helper()
	livetest.Until(s.t, what, ok)
}

func (s *shop) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// do runs a command's run with its output caught.
func (s *shop) do(run func(context.Context, io.Writer) error) (string, error) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), patience)
	defer stop()
	var out bytes.Buffer
	err := run(ctx, &out)
	return out.String(), err
}

func (s *shop) good(run func(context.Context, io.Writer) error, want ...string) string {
	s.t.Helper()
	out, err := s.do(run)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.t.Errorf("it does not say %q:\n%s", w, out)
		}
	}
	return out
}

func hot(state string) string {
	return fmt.Sprintf(`# my campaign
apiVersion: dwell/v1
kind: Campaign
metadata: {name: hot}
spec:
  state: %s  # for now
  trigger:
    pattern: {count: {event: bet, times: 2}}
    within: 10m
  channels: [{type: popup, content: a}]
`, state)
}

func (s *shop) flags(name string) moveFlags {
	return moveFlags{Config: s.cfg, Name: name, Tenant: "demo", Timeout: patience}
}

func TestCampaignLivesAndIsShownAsPeopleKnowItFromKubectl(t *testing.T) {
	s := newShop(t, true)
	path := s.file("hot.yaml", hot("live"))
	apply := &applyCmd{Config: s.cfg, File: path, Tenant: "demo", Timeout: patience}
	diff := &diffCmd{Config: s.cfg, File: path, Tenant: "demo"}
	s.good(diff.run, "campaign/hot created", "+ kind: Campaign")
	s.good(apply.run, "campaign/hot created", "in force in 1 worker(s)")
	if out := s.good(diff.run); out != "" {
		t.Errorf("a difference:\n%s", out)
	}
	s.file("hot.yaml", strings.Replace(hot("live"), "times: 2", "times: 3", 1))
	s.good(diff.run, "campaign/hot changed", "-     pattern: {count: {event: bet, times: 2}}\n+     pattern: {count: {event: bet, times: 3}}")

	flags := s.flags("hot")
	move := func(to campaign.State) func(context.Context, io.Writer) error {
		return func(ctx context.Context, out io.Writer) error { return flags.move(ctx, out, to) }
	}
	s.good(move(campaign.Paused), "campaign/hot paused", "in force in 1 worker(s)")
	if _, err := s.do((&applyCmd{Config: s.cfg, File: s.file("shadow.yaml", hot("shadow")), Tenant: "demo", Timeout: patience}).run); err == nil || !strings.Contains(err.Error(), "live or archived") {
		t.Errorf("paused to shadow: %v", err)
	}
	get := &getCampaignsCmd{Config: s.cfg, Tenant: "demo", Output: "table"}
	s.good(get.run, "NAME", "hot", "paused", "hot.yaml")
	get.Output = "yaml"
	s.good(get.run, hot("paused"))
	get.Output = "name"
	if out := s.good(get.run); out != "campaign/hot\n" {
		t.Errorf("names: %q", out)
	}
	get.Output = "json"
	var rows []listed
	if err := json.Unmarshal([]byte(s.good(get.run)), &rows); err != nil || len(rows) != 1 || rows[0].State != "paused" || rows[0].Source != hot("paused") {
		t.Errorf("%v %+v", err, rows)
	}
	get.Tenant = "nobody"
	if out := s.good(get.run); out != "[]\n" {
		t.Errorf("of nobody: %q", out)
	}

	describe := &describeCampaignCmd{Config: s.cfg, Name: "hot", Tenant: "demo"}
	s.good(describe.run, "State:    paused", "Versions, newest first:", "live", hot("paused"))
	all, err := campaign.Parse("a", []byte(hot("live")))
	if err != nil {
		t.Fatal(err)
	}
	describe.Version = all[0].Version
	s.good(describe.run, "State:    live", hot("live"))
	describe.Version = "none"
	if _, err := s.do(describe.run); err == nil {
		t.Error("a version that never was is shown")
	}
	s.good(move(campaign.Archived), "campaign/hot archived")
	if _, err := s.do(move(campaign.Live)); err == nil || !strings.Contains(err.Error(), "does not come back") {
		t.Errorf("back: %v", err)
	}
	s.good((&deleteCampaignCmd{flags}).run, "campaign/hot deleted", "in force in 1 worker(s)")
	describe.Version = ""
	s.good(describe.run, "State:    deleted")
	if _, err := s.do((&deleteCampaignCmd{flags}).run); err == nil || !strings.Contains(err.Error(), "no such campaign") {
		t.Errorf("deleted again: %v", err)
	}
}

func TestWithoutAWorkerACommandSaysSo(t *testing.T) {
	s := newShop(t, false)
	s.good((&applyCmd{Config: s.cfg, File: s.file("hot.yaml", hot("live")), Tenant: "demo", Timeout: patience}).run, "no worker runs")
	flags := s.flags("hot")
	s.good((&deleteCampaignCmd{flags}).run, "deleted", "no worker runs")
}

// bets are the log of two users, of whom one completes the pattern.
func bets(at time.Time) string {
	var b strings.Builder
	for i, user := range []string{"ann", "bob", "ann", "bob"} {
		event := "bet"
		if i == 3 {
			event = "page_left"
		}
		fmt.Fprintf(&b, `{"type":"track","event":%q,"messageId":"m%d","userId":%q,"timestamp":%q}`+"\n", event, i, user, at.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano))
	}
	return b.String()
}

func TestWhyAndRehearsalOverFileAndTopic(t *testing.T) {
	s := newShop(t, true)
	path := s.file("hot.yaml", hot("live"))
	s.good((&applyCmd{Config: s.cfg, File: path, Tenant: "demo", Timeout: patience}).run)
	now := time.Now()
	log := bets(now)
	em, err := kafka.NewEmitter(s.cfg, "test", topics.Events)
	if err != nil {
		t.Fatal(err)
	}
	lines := rehearse.Lines{Tenant: "demo", Partitions: s.cfg.Partitions}
	err = lines.Read(strings.NewReader(log), func(r rehearse.Record) error { return em.EmitSync(t.Context(), r.Key, r.Event) }, func(rehearse.Bad) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := em.Close(); err != nil {
		t.Fatal(err)
	}
	later := now.Add(time.Hour)
	ask := func(user string, json bool) *whyCmd {
		return &whyCmd{Config: s.cfg, Name: "hot", User: user, Tenant: "demo", At: later, JSON: json}
	}
	answer := func(ctx context.Context, out io.Writer) error { return ask("ann", false).run(ctx, out, now) }
	s.until("ann's verdict is written", func() bool { return strings.Contains(s.good(answer), "it was sent") })
	s.good(answer, "of the events m0, m2", "MATCHED", "SENT")
	want := map[string]float64{"dwell_events_total no": 1, "dwell_events_total yes": 3, "dwell_verdicts_total SENT": 1, "dwell_verdicts_total LATE": 0}
	s.until("the events are counted by whether something reads them", func() bool {
		got := s.counted()
		return !slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(k string) bool { n, there := got[k]; return !there || n != want[k] })
	})
	var a why.Answer
	out := s.good(func(ctx context.Context, out io.Writer) error { return ask("bob", true).run(ctx, out, now) })
	if err := json.Unmarshal([]byte(out), &a); err != nil || a.Events != 2 || a.Read != 1 || a.Progress.Held != 1 || a.Progress.Times != 2 || len(a.Verdicts) != 0 {
		t.Errorf("%v %s", err, out)
	}
	unknown := &whyCmd{Config: s.cfg, Name: "cold", User: "ann", Tenant: "demo"}
	if _, err := s.do(func(ctx context.Context, out io.Writer) error { return unknown.run(ctx, out, now) }); err == nil || !strings.Contains(err.Error(), "no such campaign") {
		t.Errorf("an unknown campaign: %v", err)
	}

	decisions := filepath.Join(s.dir, "decisions.ndjson")
	r := &rehearseCmd{Config: s.cfg, File: path, Tenant: "demo", Events: s.file("events.ndjson", log), Decisions: decisions}
	run := func(ctx context.Context, out io.Writer) error { return r.run(ctx, out, later) }
	s.good(run, "4 events of 2 users", "1 matches, 1 SENT", "SENT ann")
	written, err := os.ReadFile(decisions)
	if err != nil {
		t.Fatal(err)
	}
	var d rehearse.Decision
	if err := json.Unmarshal(written, &d); err != nil || d.User != "ann" || d.MatchID == "" {
		t.Errorf("%v: %s", err, written)
	}
	live := s.sent()
	if len(live) != 1 || live[0].Id != d.ID || live[0].MatchId != d.MatchID {
		t.Errorf("live %v, rehearsed %+v", live, d)
	}
	r.Events, r.Since, r.Decisions, r.JSON = "", "1d", "", true
	var rep rehearse.Report
	if err := json.Unmarshal([]byte(s.good(run)), &rep); err != nil || rep.Events != 4 || rep.Campaigns[0].Verdicts["SENT"] != 1 {
		t.Errorf("%v %+v", err, rep)
	}
	r.Since = "soon"
	if _, err := s.do(run); err == nil {
		t.Error("soon is taken for a span of time")
	}
}

// counted are the worker's counters by name and label.
func (s *shop) counted() map[string]float64 {
	s.t.Helper()
	all, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range all {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "read" || l.GetName() == "verdict" {
					counted[f.GetName()+" "+l.GetValue()] = m.GetCounter().GetValue()
				}
			}
		}
	}
	return counted
}

func (s *shop) sent() []*schemas.Verdict {
	s.t.Helper()
	var all []*schemas.Verdict
	err := kafka.ReadAll(s.t.Context(), s.cfg, topics.Verdicts.Spec, func(e kafka.Entry) error {
		v, err := topics.Verdicts.Codec.Decode(bytes.Clone(e.Value))
		if err == nil && v.Verdict == engage.Sent {
			all = append(all, v)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func TestCommandLineTakesTheNewCommands(t *testing.T) {
	dir := t.TempDir()
	events := filepath.Join(dir, "e.ndjson")
	if err := os.WriteFile(events, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for line, good := range map[string]bool{
		"get campaigns -o yaml": true, "get campaigns -o xml": false, "describe campaign hot": true, "describe audience vip": true, "describe trait bets --of-version a": true, "describe trait": false, "diff -f x.yaml": true,
		"delete campaign hot": true, "campaign pause hot --tenant shop": true, "campaign resume": false, "campaign archive hot": true,
		"campaign why hot --user ann --at 2026-11-01T10:00:00Z --json": true, "campaign why hot": false, "campaign why hot --user a --at noon": false,
		"campaign rehearse x.yaml --events " + events: true, "campaign rehearse x.yaml --since 30d --decisions o": true,
		"campaign rehearse x.yaml": false, "campaign rehearse x.yaml --since 1d --events " + events: false, "schema campaign": true,
	} {
		var c cli
		p, err := config.Parser(&c, "dwell", "", kong.Vars{"version": "test"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Parse(strings.Fields(line)); good != (err == nil) {
			t.Errorf("dwell %s: %v", line, err)
		}
	}
}

func TestSchemaIsJSON(t *testing.T) {
	var out bytes.Buffer
	if err := (&schemaCampaignCmd{}).run(&out); err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(out.Bytes(), &s); err != nil || s["type"] != "object" {
		t.Errorf("%v", err)
	}
}
