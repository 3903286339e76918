package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// The Decider itself: duplicates, and a campaign that changes under way.
func TestDeciderIsReplayedToTheByte(t *testing.T) {
	w := newWorld(t, 21)
	if err := kafka.Ensure(t.Context(), w.cfg, topics.Builtin()...); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../../examples/campaigns/hot-streak.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for round, times := range []string{"times: 3", "times: 2", "times: 4"} {
		w.declare(fmt.Sprint("v", round), bytes.Replace(source, []byte("times: 3"), []byte(times), 1))
		stop := w.run(engage.Processor, "i0", time.Duration(5+10*round)*time.Millisecond)
		for range 5 {
			w.bets(40)
			sent += 40
		}
		w.until("all facts", func() bool {
			o, err := w.adm.FetchOffsets(t.Context(), "dwell.engage")
			sum := int64(0)
			for _, r := range o[topics.Events.Name] {
				sum += max(r.At, 0)
			}
			return err == nil && sum == int64(sent)
		})
		stop()
	}
	r := w.replay(engage.Processor, journal.All)
	if r.Differences != 0 {
		t.Fatalf("%d differences, first %v", r.Differences, r.First)
	}
	if r.Records != int64(sent) || r.Outputs < 500 || r.Rows != 20 {
		t.Errorf("%+v", r)
	}
	if n := w.ends(topics.Actions.Name); n[0]+n[1]+n[2] == 0 {
		t.Error("no campaign acted: nothing was tested")
	}
}

func (w *world) declare(version string, source []byte) {
	w.t.Helper()
	value, err := topics.Declarations.Codec.Append(nil, &schemas.Declaration{Kind: "campaign", Tenant: "demo", Name: "hot-streak", Version: version, Source: source})
	if err != nil {
		w.t.Fatal(err)
	}
	w.produce(&kgo.Record{Topic: topics.Declarations.Name, Key: []byte("campaign/demo/hot-streak"), Value: value})
}

// bets sends events of 20 users, one in ten a second time.
func (w *world) bets(n int) {
	w.t.Helper()
	var recs []*kgo.Record
	for i := range n {
		w.ms += 1000
		e := &schemas.Event{
			Id: fmt.Sprint(w.ms), Tenant: "demo", UserId: fmt.Sprint("u", w.rng.IntN(20)), Type: "track", Name: "bet_settled", TimeMs: w.ms, ReceivedMs: w.ms,
			Properties: []byte(`{"result":"win"}`),
		}
		if w.rng.IntN(5) == 0 {
			e.Properties = []byte(`{"result":"loss"}`)
		}
		value, err := topics.Events.Codec.Append(nil, e)
		if err != nil {
			w.t.Fatal(err)
		}
		if recs = append(recs, &kgo.Record{Topic: topics.Events.Name, Key: []byte("demo/" + e.UserId), Value: value, Timestamp: time.UnixMilli(w.ms)}); i%10 == 9 {
			again := *recs[len(recs)-2]
			recs[len(recs)-1] = &again
		}
	}
	w.produce(recs...)
}
