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

// A processor with a journal says at its start which of its whole topics lose versions that the journal
// names, and what to do; without a journal, or where versions stay, it says nothing.
func TestStartWarnsOfWholeTopicsThatLoseVersions(t *testing.T) {
	w := newWorld(t, brokers(t))
	rules := &processors.Whole[int, int]{
		Topic: topics.Of(topics.Spec{Name: w.name("rules"), Partitions: 1, Compact: true}, schemas.Codec[int](schemas.JSON[int]{})),
		Fold:  func(v int, _ string, _ int, _ bool) int { return v },
	}
	in := numbers(w.name("in"))
	in.Retention = topics.BrokerRetention / 7
	w.ensure(in.Spec, rules.Topic.Spec)
	said := func(journal bool) string {
		def := processors.Define(processors.Processor[tally]{
			Name: w.id, Row: tallyCodec{}, Journal: journal, Whole: []processors.AnyWhole{rules},
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
	set := func(ms string) {
		if _, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "min.compaction.lag.ms", Value: &ms}}, rules.Topic.Name); err != nil {
			t.Fatal(err)
		}
	}
	const wrong = "compaction removes versions"
	if text := said(false); strings.Contains(text, wrong) {
		t.Errorf("without a journal: %s", text)
	}
	set("0") // the fake does not tell of its default
	text := said(true)
	for _, want := range []string{wrong, rules.Topic.Name, "dwell." + w.id + "-journal keeps", "--add-config min.compaction.lag.ms=86400000", "level=WARN"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q: %s", want, text)
		}
	}
	set("86399999")
	if text := said(true); !strings.Contains(text, wrong) {
		t.Errorf("a little too short: %s", text)
	}
	set("86400000")
	if text := said(true); strings.Contains(text, wrong) || strings.Contains(text, "is not known") {
		t.Errorf("long enough: %s", text)
	}
}
