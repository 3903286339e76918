package rehearse

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func parse(t *testing.T, source string) []*campaign.Campaign {
	t.Helper()
	all, err := campaign.Parse("test.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// parseAll is parse of campaigns that are written in Go.
func parseAll(t *testing.T, all ...campaign.Builder) []*campaign.Campaign {
	t.Helper()
	var source strings.Builder
	for _, b := range all {
		y, err := b.YAML()
		if err != nil {
			t.Fatal(err)
		}
		source.WriteString("---\n")
		source.Write(y)
	}
	return parse(t, source.String())
}

// world is a broker in this process that has the campaigns of the tenant demo.
type world struct {
	t         *testing.T
	fake      *kafkatest.Cluster
	cfg       kafka.Config
	cl        *kgo.Client
	adm       *kadm.Client
	campaigns []*campaign.Campaign
}

func newWorld(t *testing.T, campaigns []*campaign.Campaign) *world {
	t.Helper()
	w := &world{t: t, fake: kafkatest.Start(t), campaigns: campaigns}
	w.cfg = livetest.On(t, w.fake, 4)
	if _, err := declare.Apply(t.Context(), w.cfg, "demo", campaigns, false); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.cl, err = w.cfg.NewClient("test", kafka.ProducerOptions()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	w.adm = kadm.NewClient(w.cl)
	return w
}

// work runs so many Deciders until the test ends.
func (w *world) work(instances int) {
	w.t.Helper()
	var all []*livetest.Decider
	for i := range instances {
		all = append(all, livetest.Decide(w.t, w.cfg, fmt.Sprintf("worker-%d", i), ""))
	}
	w.until("ready", func() bool {
		return !slices.ContainsFunc(all, func(d *livetest.Decider) bool { return !d.Ready() })
	})
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	livetest.Until(w.t, what, ok)
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

// committed is how many events the workers have committed.
func (w *world) committed() (n int64) {
	o, err := w.adm.FetchOffsets(context.Background(), "dwell.engage")
	if err != nil {
		return 0 // the group is not there yet
	}
	o.Each(func(r kadm.OffsetResponse) {
		if r.Topic == topics.Events.Name {
			n += max(r.At, 0)
		}
	})
	return n
}

// decided waits until the workers have committed n events.
func (w *world) decided(n int64) {
	w.t.Helper()
	w.until("all events decided", func() bool { return w.committed() >= n })
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

// rehearse runs the campaigns over a log, and returns the verdicts as they came beside the report.
func (w *world) rehearse(log string) (verdicts []*schemas.Verdict, report *Report) {
	w.t.Helper()
	r, err := New("demo", w.campaigns, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	count := r.stepper.emit
	r.stepper.emit = func(s Step) error {
		verdicts = append(verdicts, s.Verdicts...)
		return count(s)
	}
	if report, err = r.File(strings.NewReader(log), w.cfg.Partitions); err != nil {
		w.t.Fatal(err)
	}
	return verdicts, report
}

// live waits until there are n verdicts of the workers up to a time. Their clock goes on after the last
// event, and they wake by it, so what they decided later is left out.
func (w *world) live(end time.Time, n int) (all []*schemas.Verdict) {
	w.t.Helper()
	w.until("all deadlines", func() bool {
		all = slices.DeleteFunc(w.verdicts(), func(v *schemas.Verdict) bool { return v.DecidedMs > end.UnixMilli() })
		return len(all) >= n
	})
	return all
}
