package topics

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Versions that a journal names stay for as long as that is kept, declared or found, whichever is longer.
func TestVersionsStayForAsLongAsTheJournalIsKept(t *testing.T) {
	week, forever := BrokerRetention.Milliseconds(), int64(math.MaxInt64)
	for name, c := range map[string]struct {
		declared time.Duration // of the journal
		found    string        // retention.ms of the journal; empty: it is missing
		own      time.Duration // what the whole topic declares
		want     int64
	}{
		"declared":                 {20 * time.Second, "", 0, 20_000},
		"declared longer than own": {20 * time.Second, "", 10 * time.Second, 20_000},
		"own is longer":            {20 * time.Second, "", 30 * time.Second, 30_000},
		"left to the brokers":      {0, "", 0, week},
		"found":                    {0, "40000", 0, 40_000},
		"found longer":             {20 * time.Second, "40000", 0, 40_000},
		"found shorter, to be set": {20 * time.Second, "5000", 0, 20_000},
		"declared for ever":        {Forever, "", 0, forever},
		"found for ever":           {0, "-1", 0, forever},
	} {
		journal := &Spec{Name: "journal", Retention: c.declared}
		rules := &Spec{Name: "rules", Partitions: 1, Compact: true, CompactionLag: c.own, LagAs: []string{"journal"}}
		found := map[string]Found{}
		if c.found != "" {
			found["journal"] = Found{Partitions: 1, Config: map[string]string{"retention.ms": c.found}}
		}
		cluster := Cluster{Partitions: 1, Replication: 1}
		made := Plan([]*Spec{rules, journal}, cluster, found)
		if got := made[0].New.Config["min.compaction.lag.ms"]; got != strconv.FormatInt(c.want, 10) {
			t.Errorf("%s: created with %s, want %d", name, got, c.want)
		}
		found["rules"] = Found{Partitions: 1, Config: map[string]string{"min.compaction.lag.ms": strconv.FormatInt(c.want-1, 10)}}
		var lines []string
		for _, d := range Plan([]*Spec{rules, journal}, cluster, found) {
			if d.Topic == "rules" {
				lines = append(lines, line(d))
				if named := strings.Contains(d.Why, "that journal still names"); named != (c.own < 30*time.Second) {
					t.Errorf("%s: why %s", name, d.Why)
				}
			}
		}
		want := "set-config min.compaction.lag.ms " + strconv.FormatInt(c.want-1, 10) + "->" + strconv.FormatInt(c.want, 10)
		if len(lines) != 1 || lines[0] != want {
			t.Errorf("%s: %q, want %s", name, lines, want)
		}
		found["rules"].Config["min.compaction.lag.ms"] = strconv.FormatInt(c.want, 10)
		for _, d := range Plan([]*Spec{rules, journal}, cluster, found) {
			if d.Topic == "rules" {
				t.Errorf("%s: planned again: %v", name, d)
			}
		}
	}
}

func TestStreamsHaveNoVersionsToKeep(t *testing.T) {
	got := Plan([]*Spec{{Name: "users", LagAs: []string{"journal"}}}, Cluster{Partitions: 1, Replication: 1},
		map[string]Found{"users": {Partitions: 1, Config: map[string]string{"min.compaction.lag.ms": "0"}}})
	if len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// Versions of a table's rows that a journal names are only warned of, whatever the table declares; a table
// that is missing is made as tables are.
func TestRowsThatJournalsNameAreWarnedOf(t *testing.T) {
	day := Spec{Name: "journal", Retention: 24 * time.Hour}
	longer := Spec{Name: "longer", Retention: 48 * time.Hour}
	for name, c := range map[string]struct {
		table *Spec
		have  string // min.compaction.lag.ms; empty: the brokers do not tell
		want  string
	}{
		"too short":           {&Spec{Compact: true, NamedBy: []string{"journal"}}, "0", "warn min.compaction.lag.ms 0->86400000"},
		"a little too short":  {&Spec{Compact: true, NamedBy: []string{"journal"}}, "86399999", "warn min.compaction.lag.ms 86399999->86400000"},
		"long enough":         {&Spec{Compact: true, NamedBy: []string{"journal"}}, "86400000", ""},
		"the longest of two":  {&Spec{Compact: true, NamedBy: []string{"longer", "journal"}}, "86400000", "warn min.compaction.lag.ms 86400000->172800000"},
		"left to the brokers": {&Spec{Compact: true, NamedBy: []string{"of nobody"}}, "0", "warn min.compaction.lag.ms 0->604800000"},
		"not told":            {&Spec{Compact: true, NamedBy: []string{"journal"}}, "", ""},
		"no journal":          {&Spec{Compact: true}, "0", ""},
		"a stream":            {&Spec{NamedBy: []string{"journal"}}, "0", ""},
	} {
		c.table.Name = "table"
		specs := []*Spec{c.table, &day, &longer}
		found := Found{Partitions: 1, Config: map[string]string{"min.compaction.lag.ms": c.have}}
		got := ""
		for _, d := range Plan(specs, Cluster{Partitions: 1, Replication: 1}, map[string]Found{"table": found}) {
			if d.Topic == "table" {
				got += line(d)
				if d.Do == "" || len(c.table.NamedBy) == 0 || !strings.Contains(d.Why, c.table.NamedBy[0]+" still names") {
					t.Errorf("%s: %s", name, d)
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if made := Plan(specs, Cluster{Partitions: 1, Replication: 1}, nil)[0].New.Config["min.compaction.lag.ms"]; made != "" {
			t.Errorf("%s: made with %s", name, made)
		}
	}
}

func TestLackingSaysWhatToDo(t *testing.T) {
	lag := func(v string) map[string]string { return map[string]string{"min.compaction.lag.ms": v} }
	keep := func(v string) map[string]string { return map[string]string{"retention.ms": v} }
	for _, c := range []struct {
		have, kept map[string]string
		want       string
	}{
		{lag("999"), keep("1000"), "--entity-name rules --add-config min.compaction.lag.ms=1000"},
		{lag("0"), keep("-1"), "min.compaction.lag.ms=9223372036854775807"},
		{lag("1000"), keep("1000"), ""},
		{nil, keep("1000"), ""},
		{lag("0"), nil, ""},
	} {
		got := Lacking("rules", c.have, "x-journal", c.kept)
		if (got == "") != (c.want == "") || !strings.HasSuffix(got, c.want) || c.want != "" && !strings.Contains(got, "x-journal keeps") {
			t.Errorf("%v, %v: %q", c.have, c.kept, got)
		}
	}
}
