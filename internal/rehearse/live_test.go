package rehearse

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// threeCampaigns: two compete for a slot, one of which starts over at a loss and one has a cooldown; the
// third is decided by deadlines.
const threeCampaigns = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: hot}
spec:
  state: live
  trigger:
    pattern: {count: {event: bet, where: 'event.result == "win"', times: 3}}
    until: [{event: bet, where: 'event.result == "loss"'}]
    within: 10m
  priority: 20
  slot: popup
  channels: [{type: popup, content: a}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: any}
spec:
  state: live
  trigger:
    pattern: {count: {event: bet, times: 2}}
    within: 1h
    after_match: skip_to_next
  reentry: {mode: cooldown, every: 20m}
  slot: popup
  channels: [{type: popup, content: b}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: gone}
spec:
  state: live
  trigger:
    pattern: {absence: {event: bet, not: {event: bet, where: 'event.result == "loss"'}, restart: false}}
    within: 5m
  channels: [{type: popup, content: c}]
`

func parse(t *testing.T, source string) []*campaign.Campaign {
	t.Helper()
	all, err := campaign.Parse("test.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// randomLog is NDJSON with duplicates, late events, events without an id or time, and bad lines.
func randomLog(seed uint64, n, users int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	var b strings.Builder
	for i := range n {
		at = at.Add(time.Duration(r.IntN(20_000)) * time.Millisecond)
		event := at.Add(-time.Duration(r.IntN(60_000)) * time.Millisecond)
		id := fmt.Sprintf(`"messageId":"m%d",`, i-r.IntN(2)*r.IntN(20))
		if r.IntN(10) == 0 {
			id = ""
		}
		result := [...]string{"win", "win", "win", "loss"}[r.IntN(4)]
		fmt.Fprintf(&b, `{"type":"track","event":"bet",%s"userId":"u%d","receivedAt":%q,"timestamp":%q,"properties":{"result":%q}}`+"\n",
			id, r.IntN(users), at.Format(time.RFC3339Nano), event.Format("2006-01-02T15:04:05.000Z07:00"), result)
		if r.IntN(50) == 0 {
			fmt.Fprintln(&b, `{"type":"track"`)
		}
	}
	return b.String()
}

// world is a broker in this process with a worker's processor.
type world struct {
	t    *testing.T
	fake *kfake.Cluster
	cfg  kafka.Config
	cl   *kgo.Client
	adm  *kadm.Client
}

const patience = 60 * time.Second

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{t: t, fake: c, cfg: kafka.DefaultConfig()}
	w.cfg.Brokers, w.cfg.Partitions = c.ListenAddrs(), 4
	if err := kafka.Ensure(t.Context(), w.cfg, topics.Builtin()...); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.cfg.NewClient("test", kafka.ProducerOptions()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	w.adm = kadm.NewClient(w.cl)
	return w
}

// work runs the engage processor until the test ends.
func (w *world) work() {
	w.t.Helper()
	cfg := stream.DefaultConfig()
	cfg.Kafka, cfg.InstanceID, cfg.Logger = w.cfg, "one", slog.New(slog.DiscardHandler)
	p, err := stream.New(cfg, engage.Processor)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.until("ready", p.Ready)
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

// produce writes the log's events as the gateway does.
func (w *world) produce(log string) (n int64) {
	w.t.Helper()
	var recs []*kgo.Record
	lines := Lines{Tenant: "demo", Partitions: w.cfg.Partitions}
	err := lines.Read(strings.NewReader(log), func(r Record) error {
		b, err := topics.Events.Codec.Append(nil, r.Event)
		recs = append(recs, &kgo.Record{Topic: topics.Events.Name, Key: []byte(r.Key), Value: b, Timestamp: time.UnixMilli(r.MS)})
		return err
	}, func(Bad) {})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.cl.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return int64(len(recs))
}

// decided waits until the worker has committed n events.
func (w *world) decided(n int64) {
	w.t.Helper()
	w.until("all events decided", func() bool {
		o, err := w.adm.FetchOffsets(context.Background(), "dwell.engage")
		sum := int64(0)
		o.Each(func(r kadm.OffsetResponse) {
			if r.Topic == topics.Events.Name {
				sum += max(r.At, 0)
			}
		})
		return err == nil && sum >= n
	})
}

func (w *world) verdicts() []*schemas.Verdict {
	w.t.Helper()
	var all []*schemas.Verdict
	err := kafka.ReadAll(w.t.Context(), w.cfg, topics.Verdicts.Spec, func(e kafka.Entry) error {
		v, err := topics.Verdicts.Codec.Decode(bytes.Clone(e.Value))
		all = append(all, v)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// plain makes verdicts comparable, in one order.
func plain(all []*schemas.Verdict) []string {
	var lines []string
	for _, v := range all {
		lines = append(lines, fmt.Sprintf("%+v at %s/%d/%d", DecisionOf(v), v.SrcTopic, v.SrcPartition, v.SrcOffset)+" "+string(v.Detail))
	}
	for i, l := range lines { // EventTime is a pointer
		lines[i] = l[:strings.Index(l, "EventTime:")] + l[strings.Index(l, " MatchID:"):] + fmt.Sprint(all[i].EventTimeMs)
	}
	slices.Sort(lines)
	return lines
}

func TestARehearsalGivesTheVerdictsOfALiveWorker(t *testing.T) {
	const seed = 7
	log := randomLog(seed, 1500, 12)
	w := newWorld(t)
	all := parse(t, threeCampaigns)
	if _, err := declare.Apply(t.Context(), w.cfg, "demo", all, false); err != nil {
		t.Fatal(err)
	}
	w.work()
	w.decided(w.produce(log))

	var rehearsed []*schemas.Verdict
	r, err := New("demo", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	count := r.stepper.emit
	r.stepper.emit = func(s Step) error {
		rehearsed = append(rehearsed, s.Verdicts...)
		return count(s)
	}
	report, err := r.File(strings.NewReader(log), w.cfg.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	// The worker's clock goes on after the last event, and it wakes by it; both are compared up to there.
	var live []*schemas.Verdict
	w.until("all deadlines", func() bool {
		live = slices.DeleteFunc(w.verdicts(), func(v *schemas.Verdict) bool { return v.DecidedMs > report.To.UnixMilli() })
		return len(live) >= len(rehearsed)
	})
	got, want := plain(rehearsed), plain(live)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("first difference:\nrehearsed %s\nlive      %s", got[i], want[i])
				break
			}
		}
		t.Fatalf("seed %d: %d verdicts rehearsed, %d live", seed, len(got), len(want))
	}
	kinds, woken := map[string]int{}, 0
	for _, v := range live {
		kinds[v.Verdict]++
		if v.SrcTopic == "" && v.Campaign == "gone" {
			woken++
		}
	}
	if woken == 0 {
		t.Error("no deadline was decided, so it tests little")
	}
	for _, k := range []string{engage.Sent, engage.Late, engage.Duplicate, engage.Reentry, engage.Priority} {
		if kinds[k] == 0 {
			t.Errorf("the log leads to no %s, so it tests little: %v", k, kinds)
		}
	}

	// The same over the topic.
	again, err := New("demo", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	fromTopic, err := again.Topic(t.Context(), w.cfg, time.Time{}, report.To)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range fromTopic.Campaigns {
		if other := report.Campaigns[i]; !maps.Equal(c.Verdicts, other.Verdicts) || c.Matches != other.Matches || !sameHours(c.Hours, other.Hours) {
			t.Errorf("%s over the topic %v, over the file %v", c.Name, c.Verdicts, other.Verdicts)
		}
	}
	if fromTopic.Events != report.Events || fromTopic.Users != report.Users || fromTopic.Counted != report.Counted {
		t.Errorf("over the topic %+v, over the file %+v", fromTopic, report)
	}
	late, err := New("demo", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	half := report.From.Add(report.To.Sub(report.From) / 2)
	if part, err := late.Topic(t.Context(), w.cfg, half, report.To); err != nil || part.Events == 0 || part.Events >= report.Events || part.From.Before(half) {
		t.Errorf("the later half: %+v, %v", part, err)
	}
	other, err := New("shop", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	if none, err := other.Topic(t.Context(), w.cfg, time.Time{}, report.To); err != nil || none.Events != 0 {
		t.Errorf("another tenant: %+v, %v", none, err)
	}
}

func sameHours(a, b []Hour) bool {
	return slices.EqualFunc(a, b, func(x, y Hour) bool { return cmp.Compare(x.Matches, y.Matches) == 0 && reflect.DeepEqual(x, y) })
}
