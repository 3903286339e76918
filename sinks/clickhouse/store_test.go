package clickhouse

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/sinks/clickhouse/clickhousetest"
)

// decoded makes a batch of the pipeline out of records.
func decoded(t *testing.T, p sinks.Pipeline, rs ...sinks.Record) sinks.Batch {
	t.Helper()
	b := sinks.Batch{Pipeline: p.Name, Topic: p.Topic.Name, TopicID: [16]byte{1}, First: rs[0].Offset, Last: rs[len(rs)-1].Offset}
	for _, r := range rs {
		rows, err := p.Sink.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		b.Rows = append(b.Rows, rows)
	}
	return b
}

func write(t *testing.T, p sinks.Pipeline, b sinks.Batch) {
	t.Helper()
	if err := p.Sink.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// spread is one block with facts spread evenly over days.
func spread(n, days int) sinks.Record {
	var facts []*schemas.Fact
	for i := range n {
		at := start2015.Add(time.Duration(i) * time.Duration(days) * 24 * time.Hour / time.Duration(n))
		facts = append(facts, &schemas.Fact{
			EventID: fmt.Sprint(i), Tenant: "t", User: fmt.Sprint("u", i%100), Type: "track", Name: "View", TimeMS: at.UnixMilli(), ReceivedMS: replayed.UnixMilli(), N: 2,
			Properties: []byte(`{"status":404,"bytes":1234}`), Path: "/x", At: schemas.Coordinates{Topic: "e", Partition: 3, Offset: int64(i)},
		})
	}
	packed, err := schemas.FactBlocks{}.Pack(facts)
	if err != nil || len(packed) != 1 {
		panic(fmt.Sprint(len(packed), err))
	}
	return sinks.Record{Offset: 7, Value: packed[0], Time: replayed}
}

func TestReplayedLogOf2015StaysAndMakesFewParts(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	p := s.pipeline(t, "facts")
	write(t, p, decoded(t, p, spread(2000, 4)))
	if n := s.number(t, "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND active"); n < 4 || n > 5 {
		t.Errorf("%d parts for four days", n)
	}
	if n := s.number(t, "SELECT blocks FROM sink_ledger"); n < 4 || n > 5 {
		t.Errorf("the receipt says %d blocks", n)
	}
	for _, table := range []string{"events", "campaign_1m"} {
		s.exec(t, "OPTIMIZE TABLE "+table+" FINAL") // applies TTLs
	}
	for query, want := range map[string]int{
		"SELECT count() FROM events":                                                       2000,
		"SELECT sum(n) FROM events":                                                        4000,
		"SELECT sum(events) FROM campaigns_by_minute":                                      4000,
		"SELECT uniqExact(user) FROM events":                                               100,
		"SELECT uniqCombined64Merge(12)(users) FROM campaign_1m":                           100,
		"SELECT count() FROM events WHERE status = 404 AND bytes = 1234":                   2000,
		"SELECT count() FROM events WHERE src_topic = 'e' AND src_partition = 3":           2000,
		"SELECT count() FROM campaign_1m WHERE campaign != ''":                             0,
		"SELECT toYYYYMMDD(min(ts)) FROM events":                                           20150517,
		"SELECT count() FROM events WHERE tenant = 't' AND path = '/x' AND event = 'View'": 2000,
	} {
		if got := s.number(t, query); got != want {
			t.Errorf("%s = %d, want %d", query, got, want)
		}
	}
}

func TestTimesThatCannotBeToldTakeTheTimeOfReceipt(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	p := s.pipeline(t, "facts")
	logged := replayed.Truncate(time.Millisecond) // events that were received a month ago are gone at once
	var facts []*schemas.Fact
	for i, ms := range []int64{-1, 0, 1 << 62, -1 << 62, lastTellable + 1, lastTellable} {
		facts = append(facts, &schemas.Fact{EventID: fmt.Sprint(i), User: "u", TimeMS: ms, N: 1})
	}
	packed, err := schemas.FactBlocks{}.Pack(facts)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, decoded(t, p, sinks.Record{Value: packed[0], Time: logged}))
	if n := s.number(t, fmt.Sprintf("SELECT countIf(ts = received_at AND toUnixTimestamp64Milli(received_at) = %d) FROM events", logged.UnixMilli())); n != 5 {
		t.Errorf("%d facts took the record's time, want 5", n)
	}
	if n := s.number(t, "SELECT toYear(max(t)) FROM campaign_1m"); n != 2106 {
		t.Errorf("the last minute lies in %d", n)
	}
}

func TestVerdictsActionsExposuresAndLettersKeepTheirFields(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	for name, record := range map[string]sinks.Record{"verdicts": verdictRecord(1), "actions": actionRecord(2), "exposures": exposureRecord(3), "dead-letters": letterRecord(4)} {
		p := s.pipeline(t, name)
		write(t, p, decoded(t, p, record))
	}
	for _, query := range []string{
		"SELECT count() FROM verdicts WHERE id = 'v1' AND verdict = 'SENT' AND event_ids = ['a', 'b'] AND detail = '{\"cap\":3}' AND src_offset = 1 AND toYear(decided_at) = 2015 AND toYear(logged_at) > 2020",
		"SELECT count() FROM actions WHERE action_id = 'a2' AND tenant = 'acme' AND campaign = 'boost' AND payload = '{}' AND expires_at = toDateTime64(0, 3)",
		"SELECT count() FROM exposure_ledger WHERE id = 'pv/slot/fill/3' AND viewable AND NOT closed AND flags = ['odd'] AND placement = 'top' AND sec_to - sec_from = 1",
		"SELECT count() FROM dead_letters WHERE topic = 't' AND offset = 4 AND value = unhex('FF00') AND rejected_by = 'dwell.sink-facts'",
		"SELECT users FROM campaigns_by_minute WHERE event = 'verdict:sent'",
	} {
		if n := s.number(t, query); n != 1 {
			t.Errorf("%s = %d", query, n)
		}
	}
}

func TestEveryTableAndColumnIsExplained(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	if n := s.number(t, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND comment = '' AND name != 'migrations'"); n != 0 {
		t.Errorf("%d tables without a comment", n)
	}
	if n := s.number(t, `SELECT count() FROM system.columns c JOIN system.tables t ON t.database = c.database AND t.name = c.table
		WHERE c.database = currentDatabase() AND c.comment = '' AND t.engine NOT LIKE '%View' AND t.name != 'migrations'`); n != 0 {
		t.Errorf("%d columns without a comment", n)
	}
	if got := s.number(t, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name != 'migrations'"); got != len(made) {
		t.Errorf("%d tables, and Check knows %d", got, len(made))
	}
}

func TestMigrateRunsAgainAndSideBySide(t *testing.T) {
	e := clickhousetest.Start(t)
	dsn := e.DSN()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cfg := DefaultConfig()
			cfg.DSN = dsn
			s, err := Open(cfg)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := opened(t, dsn)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckRefusesWhatCouldCountTwiceAndSaysWhatToRun(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "ALTER TABLE campaign_1m MODIFY SETTING non_replicated_deduplication_window = 100")
	s.exec(t, "ALTER TABLE verdicts MODIFY SETTING non_replicated_deduplication_window = 0")
	s.exec(t, "DROP TABLE inbox_to_events")
	s.exec(t, "CREATE MATERIALIZED VIEW wrong TO campaign_1m AS SELECT tenant, campaign FROM actions")
	err := s.Check(t.Context())
	for _, want := range []string{
		"ALTER TABLE campaign_1m MODIFY SETTING non_replicated_deduplication_window = 100000",
		"ALTER TABLE verdicts MODIFY SETTING non_replicated_deduplication_window = 100000",
		"table inbox_to_events is missing: run `dwell sink migrate`",
		"table actions: views hang behind it (wrong)",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("check = %v\nwithout %q", err, want)
		}
	}
	if errors.Is(err, sinks.ErrRetry) {
		t.Error("a refusal that would be tried again")
	}
}

func TestCheckReadsReplicatedAndDistributedTables(t *testing.T) {
	for _, c := range []struct {
		table found
		want  string // empty: no fault
	}{
		{found{name: "a", engine: "ReplicatedMergeTree", full: "ReplicatedMergeTree SETTINGS replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800"}, ""},
		{found{name: "a", engine: "ReplicatedMergeTree", full: "ReplicatedMergeTree SETTINGS replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 3600"}, "replicated_deduplication_window_seconds = 604800"},
		{found{name: "a", engine: "ReplicatedMergeTree", full: "ReplicatedMergeTree"}, "replicated_deduplication_window = 100000"},
		{found{name: "a", engine: "SharedMergeTree", full: "SharedMergeTree"}, "remembers 0"},
		{found{name: "a", engine: "Distributed"}, "shards"},
		{found{name: "a", engine: "Null"}, ""},
		{found{name: "a", engine: "ReplacingMergeTree", full: "x SETTINGS non_replicated_deduplication_window = 100000", dependents: []string{"v"}}, "views hang"},
	} {
		got := fmt.Sprint(c.table.faults())
		if c.want == "" && got != "[]" || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %q", c.table, got, c.want)
		}
	}
}

func TestSupportedVersions(t *testing.T) {
	for version, want := range map[string]bool{"26.7.3.1": true, "24.8.1.2684": true, "25.1": true, "24.7.9": false, "23.12.1": false, "": false, "x.y": false} {
		if supported(version) != want {
			t.Errorf("supported(%q) = %t", version, !want)
		}
	}
}

func TestReceiptSwallowsAReplayThatTheWindowHasForgotten(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	p := s.pipeline(t, "facts")
	for _, table := range []string{"events", "campaign_1m"} {
		s.exec(t, "ALTER TABLE "+table+" MODIFY SETTING non_replicated_deduplication_window = 2")
	}
	first := decoded(t, p, factRecord(0))
	write(t, p, first)
	for n := range 5 {
		write(t, p, decoded(t, p, factRecord(n+1)))
	}
	first.Replay = true
	write(t, p, first)
	if n := s.number(t, "SELECT sum(n) FROM events"); n != 6*3 {
		t.Errorf("%d facts, want %d", n, 6*3)
	}
}

func TestReplayPastTheWindowIsRefused(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	p := s.pipeline(t, "facts")
	write(t, p, decoded(t, p, factRecord(0)))
	lost := decoded(t, p, factRecord(1)) // its receipt is missing: it may have landed by half
	lost.Replay = true
	s.exec(t, `INSERT INTO sink_ledger (pipeline, table, topic_id, partition, first_offset, last_offset, blocks, sealed_at)
		SELECT 'facts', 'inbox', 'other', 5, number, number, 1000, now() FROM numbers(89)`)
	write(t, p, lost) // 89,000 of 100,000
	again := decoded(t, p, factRecord(2))
	again.Replay = true
	s.exec(t, `INSERT INTO sink_ledger (pipeline, table, topic_id, partition, first_offset, last_offset, blocks, sealed_at)
		SELECT 'facts', 'inbox', 'other', 5, 100 + number, 100 + number, 1000, now() FROM numbers(90)`)
	err := p.Sink.Write(t.Context(), again)
	if !errors.Is(err, sinks.ErrWindow) || errors.Is(err, sinks.ErrRetry) || !strings.Contains(err.Error(), "dwell sink restate") {
		t.Errorf("write = %v", err)
	}
	// A partition's first range counts from when it was received.
	fresh := decoded(t, p, factRecord(9))
	fresh.Partition, fresh.Replay = 77, true
	if err := p.Sink.Write(t.Context(), fresh); !errors.Is(err, sinks.ErrWindow) {
		t.Errorf("write of a new partition = %v", err)
	}
}

func TestServerThatIsAwayIsTriedAgain(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DSN = "http://127.0.0.1:1/dwell"
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := s.pipeline(t, "facts")
	for what, err := range map[string]error{
		"write":   p.Sink.Write(t.Context(), decoded(t, p, factRecord(0))),
		"check":   p.Sink.Check(t.Context()),
		"migrate": s.Migrate(t.Context()),
	} {
		if !errors.Is(err, sinks.ErrRetry) {
			t.Errorf("%s = %v, want ErrRetry", what, err)
		}
	}
}

func TestMissingTableIsNotTriedAgain(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	s.exec(t, "DROP TABLE actions")
	p := s.pipeline(t, "actions")
	err := p.Sink.Write(t.Context(), decoded(t, p, actionRecord(1)))
	if err == nil || errors.Is(err, sinks.ErrRetry) || !strings.Contains(err.Error(), "dwell sink migrate") {
		t.Errorf("write = %v", err)
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	for dsn, want := range map[string]string{
		"http://127.0.0.1:8123/dwell": "", "http://127.0.0.1:8123": "", "clickhouse://u:p@h:9000/dwell": "", "https://h/dwell?secure=true": "",
		"ftp://h/dwell": "must begin", "http://h/a-b": "database", "http://h/a;b": "database", "": "dsn",
	} {
		err := Config{DSN: dsn, Conns: 1}.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", dsn, err, want)
		}
	}
	if err := (Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "conns") || !strings.Contains(err.Error(), "dsn") {
		t.Errorf("validate = %v", err)
	}
}
