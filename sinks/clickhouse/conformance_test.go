package clickhouse

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/sinks/clickhouse/clickhousetest"
	"github.com/dwellhq/dwell/sinks/sinktest"
	"github.com/dwellhq/dwell/topics"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

// opened is a migrated store in a database of its own.
func opened(t *testing.T, dsn string) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.DSN = dsn
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// number is one number of the database.
func (s *Store) number(tb testing.TB, query string, args ...any) int {
	tb.Helper()
	var n uint64
	if err := s.conn.QueryRow(context.Background(), "SELECT toUInt64(("+query+"))", args...).Scan(&n); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return int(n)
}

func (s *Store) exec(tb testing.TB, query string) {
	tb.Helper()
	if err := s.conn.Exec(context.Background(), query); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

func (s *Store) pipeline(tb testing.TB, name string) sinks.Pipeline {
	tb.Helper()
	for _, p := range s.Pipelines() {
		if p.Name == name {
			return p
		}
	}
	tb.Fatalf("no pipeline %s", name)
	return sinks.Pipeline{}
}

var (
	// start2015 is when the test's log was written, replayed when it was read.
	start2015 = time.Date(2015, 5, 17, 23, 0, 0, 0, time.UTC)
	replayed  = time.Now()
)

// factRecord is a block of three facts of two users, over midnight.
func factRecord(n int) sinks.Record {
	var facts []*schemas.Fact
	for i := range 3 {
		at := start2015.Add(time.Duration(n) * time.Minute)
		facts = append(facts, &schemas.Fact{
			EventID: fmt.Sprintf("e%d-%d", n, i), Tenant: "acme", User: fmt.Sprint("user", i%2), Type: "track", Name: "Page Viewed",
			TimeMS: at.UnixMilli(), ReceivedMS: replayed.UnixMilli(), N: 1, Path: "/a", Properties: []byte(`{"status":404,"bytes":1234}`),
			At: schemas.Coordinates{Topic: topics.Events.Name, Partition: 1, Offset: int64(3*n + i)},
		})
	}
	packed, err := schemas.FactBlocks{}.Pack(facts)
	if err != nil || len(packed) != 1 {
		panic(fmt.Sprint("pack: ", len(packed), err))
	}
	return sinks.Record{Offset: int64(n), Value: packed[0], Time: start2015}
}

func encoded[M any, T schemas.Message[M]](n int, v T) sinks.Record {
	b, err := schemas.Proto[M, T]{}.Append(nil, v)
	if err != nil {
		panic(err)
	}
	return sinks.Record{Offset: int64(n), Key: []byte("acme/user"), Value: b, Time: replayed}
}

func verdictRecord(n int) sinks.Record {
	return encoded(n, &schemas.Verdict{
		Id: fmt.Sprint("v", n), Tenant: "acme", User: "ann", Campaign: "boost", Verdict: "SENT", Channel: "popup", Variant: "b",
		EventIds: []string{"a", "b"}, EventTimeMs: start2015.UnixMilli(), DecidedMs: start2015.UnixMilli(), Detail: []byte(`{"cap":3}`), SrcTopic: topics.Events.Name, SrcOffset: int64(n),
	})
}

func actionRecord(n int) sinks.Record {
	return encoded(n, &schemas.Action{Id: fmt.Sprint("a", n), Tenant: "acme", User: "ann", Campaign: "boost", Channel: "popup", DecidedMs: start2015.UnixMilli(), Payload: []byte("{}")})
}

func exposureRecord(n int) sinks.Record {
	return encoded(n, &schemas.Exposure{Id: fmt.Sprint("pv/slot/fill/", n), Tenant: "acme", User: "ann", Placement: "top", SecFrom: int64(n), SecTo: int64(n + 1), Viewable: true, Flags: []string{"odd"}, StartedMs: start2015.UnixMilli(), UpdatedMs: start2015.UnixMilli()})
}

func letterRecord(n int) sinks.Record {
	return encoded(n, &schemas.DeadLetter{Topic: "t", Offset: int64(n), Value: []byte{0xff, 0}, By: "dwell.sink-facts", Error: "bad", TimeMs: start2015.UnixMilli()})
}

// targets is how rows are counted, by pipeline.
var targets = map[string]struct {
	record func(int) sinks.Record
	counts map[string]string
	broken string // a view's target to take away
}{
	"facts": {factRecord, map[string]string{
		"events":              "SELECT count() FROM events",
		"events, summed":      "SELECT sum(n) FROM events",
		"events, distinct":    "SELECT uniqExact(event_id) FROM events",
		"campaign_1m":         "SELECT sum(events) FROM campaign_1m",
		"campaigns_by_minute": "SELECT sum(events) FROM campaigns_by_minute WHERE campaign = '' AND event = 'Page Viewed'",
	}, "campaign_1m"},
	"verdicts": {verdictRecord, map[string]string{
		"verdicts":            "SELECT count() FROM verdicts",
		"verdicts, distinct":  "SELECT uniqExact(id) FROM verdicts",
		"campaigns_by_minute": "SELECT sum(events) FROM campaigns_by_minute WHERE event = 'verdict:sent' AND campaign = 'boost' AND channel = 'popup' AND variant = 'b'",
	}, "campaign_1m"},
	"actions":      {actionRecord, map[string]string{"actions": "SELECT count() FROM actions FINAL"}, ""},
	"exposures":    {exposureRecord, map[string]string{"seconds": "SELECT sum(sec_to - sec_from) FROM exposure_ledger FINAL"}, ""},
	"dead-letters": {letterRecord, map[string]string{"dead_letters": "SELECT count() FROM dead_letters FINAL"}, ""},
}

func TestEverySinkKeepsTheContractOverHTTP(t *testing.T) {
	e := clickhousetest.Start(t)
	for name := range targets {
		t.Run(name, func(t *testing.T) { conforms(t, name, "", e.DSN) })
	}
}

func TestEverySinkKeepsTheContractOverTheNativeProtocol(t *testing.T) {
	const aborts = "the embedded engine now and then aborts when a native connection is cut off in an insert (2 of 7 runs)"
	e := clickhousetest.Start(t)
	for name := range targets {
		t.Run(name, func(t *testing.T) { conforms(t, name, aborts, e.NativeDSN) })
	}
}

func conforms(t *testing.T, name, uncancelled string, dsn func() string) {
	target := targets[name]
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		s := opened(t, dsn())
		p := s.pipeline(t, name)
		h := sinktest.Harness{
			Pipeline: p.Name, Topic: p.Topic.Name, Sink: p.Sink, Record: target.record,
			Uncancelled: uncancelled,
			Poison:      sinks.Record{Value: []byte("\xff\xff no record"), Time: start2015},
			Counts: func(tb testing.TB) map[string]int {
				counts := map[string]int{}
				for what, query := range target.counts {
					counts[what] = s.number(tb, query)
				}
				return counts
			},
		}
		if target.broken != "" {
			h.Break = func(tb testing.TB) { s.exec(tb, "DETACH TABLE "+target.broken) }
			h.Mend = func(tb testing.TB) { s.exec(tb, "ATTACH TABLE "+target.broken) }
		}
		return h
	})
}
