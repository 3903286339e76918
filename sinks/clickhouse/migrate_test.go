package clickhouse

import (
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks"
	"github.com/dwellhq/dwell/sinks/clickhouse/clickhousetest"
)

// wakeLetter tells of a wake that was rejected.
func wakeLetter(n int, key string, ms int64) sinks.Record {
	return encoded(n, &schemas.DeadLetter{
		Topic: "dwell.engage-table", Partition: 3, Offset: -1, Key: []byte(key), WakeMs: ms, By: "engage", Error: "panic", TimeMs: start2015.UnixMilli(),
	})
}

func TestEachRejectedWakeIsARowOfItsOwn(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	p := s.pipeline(t, "dead-letters")
	due := start2015.UnixMilli()
	// All lie at the same place, as wakes of one partition do; the last was written twice.
	write(t, p, decoded(t, p, wakeLetter(0, "acme/ann", due), wakeLetter(1, "acme/bob", due), wakeLetter(2, "acme/ann", due+1), wakeLetter(3, "acme/ann", due+1)))
	write(t, p, decoded(t, p, letterRecord(4)))
	s.exec(t, "OPTIMIZE TABLE dead_letters FINAL")
	for query, want := range map[string]int{
		"SELECT count() FROM dead_letters":                                                                                             4,
		"SELECT count() FROM dead_letters WHERE wake_key != ''":                                                                        3,
		"SELECT count() FROM dead_letters WHERE offset = -1 AND toYear(wake_at) = 2015":                                                3,
		"SELECT count() FROM dead_letters WHERE offset = 4 AND wake_key = '' AND wake_at = toDateTime64(0, 3)":                         1,
		"SELECT count() FROM dead_letters WHERE wake_key = 'acme/ann' AND key = wake_key AND toUnixTimestamp64Milli(wake_at) % 10 = 1": 1,
	} {
		if got := s.number(t, query); got != want {
			t.Errorf("%s = %d, want %d", query, got, want)
		}
	}
}

// A database that ran with the version before keeps its rows, and rejects a letter that comes again as before.
func TestAnOlderDatabaseIsBroughtToThisVersion(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DSN = clickhousetest.Start(t).DSN()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.migrateTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	const row = "INSERT INTO dead_letters (topic, partition, offset, key, value, rejected_by, error, time, logged_at) SELECT 't', 0, 4, 'acme/user', 'old', 'dwell.sink-facts', 'bad', now(), now()"
	s.exec(t, row)
	for _, column := range []string{"wake_key", "wake_at"} {
		if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "table dead_letters: it has no column "+column+": run `dwell sink migrate`") {
			t.Errorf("check = %v", err)
		}
	}
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	p := s.pipeline(t, "dead-letters")
	write(t, p, decoded(t, p, letterRecord(4), letterRecord(5)))
	if n := s.number(t, "SELECT count() FROM dead_letters FINAL WHERE wake_key = '' AND value != 'old'"); n != 2 {
		t.Errorf("%d letters, want 2: the older of the same record is replaced", n)
	}
	s.exec(t, strings.Replace(row, "'t', 0, 4", "'t', 0, 6", 1)) // a sink of the version before still writes
	if n := s.number(t, "SELECT count() FROM dead_letters FINAL"); n != 3 {
		t.Errorf("%d letters, want 3", n)
	}
}

func TestTheCommentOnVerdictsNamesEachKind(t *testing.T) {
	s := opened(t, clickhousetest.Start(t).DSN())
	var comment string
	if err := s.conn.QueryRow(t.Context(), "SELECT comment FROM system.columns WHERE database = currentDatabase() AND table = 'verdicts' AND name = 'verdict'").Scan(&comment); err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(engage.Verdicts(), " "); comment != want {
		t.Errorf("it says  %s\nthey are %s", comment, want)
	}
}
