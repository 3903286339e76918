package stream

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// notebook is a log to look into.
type notebook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(b)
}

func (n *notebook) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// A processor with a journal says at its start which of its whole topics, and of the tables that it joins or
// looks up, lose versions that the journal names, and what to do; without a journal, or where versions stay,
// it says nothing.
func TestStartWarnsOfTopicsThatLoseVersions(t *testing.T) {
	w := newWorld(t, brokers(t))
	rules := &processors.Whole[int, int]{
		Topic: topics.Of(topics.Spec{Name: w.name("rules"), Partitions: 1, Compact: true}, schemas.Codec[int](schemas.JSON[int]{})),
		Fold:  func(v int, _ string, _ int, _ bool) int { return v },
	}
	in := numbers(w.name("in"))
	in.Retention = topics.BrokerRetention / 7
	joined, looked := &processors.Table[int]{Processor: w.id + "-joined"}, &processors.Table[int]{Processor: w.id + "-looked"}
	tables := []*topics.Spec{topics.Table(joined.Processor, 0), topics.Table(looked.Processor, 0)}
	w.ensure(append(tables, in.Spec, rules.Topic.Spec)...)
	said := func(journal bool) string {
		def := processors.Define(processors.Processor[tally]{
			Name: w.id, Row: tallyCodec{}, Journal: journal, Whole: []processors.AnyWhole{rules},
			Joins: []processors.AnyTable{joined}, Lookups: []processors.AnyTable{looked},
			Inputs: []processors.Input[tally]{processors.On(in, func(*processors.Turn[tally], uint64) {})},
		})
		n := &notebook{}
		cfg := w.config("a")
		cfg.Logger = slog.New(slog.NewTextHandler(n, nil))
		r := w.run(cfg, def)
		r.untilReady()
		r.stop()
		return n.text()
	}
	set := func(ms string, names ...string) {
		if _, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "min.compaction.lag.ms", Value: &ms}}, names...); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{rules.Topic.Name, tables[0].Name, tables[1].Name}
	const wrong = "compaction removes versions"
	if text := said(false); strings.Contains(text, wrong) {
		t.Errorf("without a journal: %s", text)
	}
	set("0", all...) // the fake does not tell of its default
	text := said(true)
	for _, want := range []string{
		wrong, "dwell." + w.id + "-journal keeps", "--add-config min.compaction.lag.ms=86400000", "level=WARN",
		"whole topic: topic " + all[0], "table that is read: topic " + all[1], "table that is read: topic " + all[2],
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q: %s", want, text)
		}
	}
	for _, short := range all {
		set("86400000", all...)
		set("86399999", short)
		if text := said(true); strings.Count(text, wrong) != 1 || !strings.Contains(text, ": topic "+short+": ") {
			t.Errorf("%s a little too short: %s", short, text)
		}
	}
	set("86400000", all...)
	if text := said(true); strings.Contains(text, wrong) || strings.Contains(text, "is not known") {
		t.Errorf("long enough: %s", text)
	}
}
