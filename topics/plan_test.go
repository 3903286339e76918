package topics

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

func line(c Change) string {
	return fmt.Sprintf("%s %s %s->%s", c.What, c.Setting, c.From, c.To)
}

// asDeclared is a topic on three replicas on which nothing differs from spec.
func asDeclared(s *Spec, partitions int) Found {
	f := Found{Partitions: partitions, Replication: 3, Config: map[string]string{
		"cleanup.policy": s.policy(), "retention.ms": "604800000", "retention.bytes": "-1", "max.message.bytes": "1048588", "min.insync.replicas": "2",
	}}
	if s.Retention != 0 {
		f.Config["retention.ms"] = fmt.Sprint(s.retentionMS())
	}
	if s.MaxMessageBytes > 0 {
		f.Config["max.message.bytes"] = fmt.Sprint(s.MaxMessageBytes)
	}
	f.Config["min.compaction.lag.ms"], f.Config["max.compaction.lag.ms"] = fmt.Sprint(lasting(s.CompactionLag)), "9223372036854775807"
	return f
}

func TestEachDifferenceHasItsRule(t *testing.T) {
	var (
		plain   = &Spec{Name: "plain"}
		users   = &Spec{Name: "users", Retention: 10 * time.Second}
		kept    = &Spec{Name: "kept", Retention: Forever}
		letters = &Spec{Name: "letters", Partitions: 1, Retention: 10 * time.Second, MaxMessageBytes: 4 << 20}
		whole   = &Spec{Name: "whole", Partitions: 1, Compact: true}
		table   = Table("cart", 256<<10)
		slow    = &Spec{Name: "slow", Partitions: 1, Compact: true, CompactionLag: 10 * time.Second}
	)
	with := func(key, value string) func(*Found) { return func(f *Found) { f.Config[key] = value } }
	for name, c := range map[string]struct {
		spec   *Spec
		change func(*Found)
		want   string // one line; empty: nothing
	}{
		"stream as declared":             {users, func(*Found) {}, ""},
		"table as declared":              {table, func(*Found) {}, ""},
		"whole topic as declared":        {whole, func(*Found) {}, ""},
		"letters as declared":            {letters, func(*Found) {}, ""},
		"brokers hide their settings":    {users, func(f *Found) { f.Config = nil }, ""},
		"a setting that is no number":    {users, with("retention.ms", "a week"), ""},
		"fewer partitions of a stream":   {users, func(f *Found) { f.Partitions = 4 }, "refuse partitions 4->8"},
		"more partitions of a stream":    {users, func(f *Found) { f.Partitions = 16 }, "refuse partitions 16->8"},
		"other partitions of a table":    {table, func(f *Found) { f.Partitions = 4 }, "refuse partitions 4->8"},
		"a whole topic in pieces":        {whole, func(f *Found) { f.Partitions = 2 }, "refuse partitions 2->1"},
		"letters in pieces":              {letters, func(f *Found) { f.Partitions = 2 }, "warn partitions 2->1"},
		"fewer replicas":                 {users, func(f *Found) { f.Replication, f.Config["min.insync.replicas"] = 2, "1" }, "warn replication 2->3"},
		"more replicas":                  {users, func(f *Found) { f.Replication = 5 }, ""},
		"shorter retention":              {users, with("retention.ms", "9999"), "set-config retention.ms 9999->10000"},
		"no retention at all":            {users, with("retention.ms", "0"), "set-config retention.ms 0->10000"},
		"longer retention":               {users, with("retention.ms", "10001"), "warn retention.ms 10001->10000"},
		"kept for ever":                  {users, with("retention.ms", "-1"), "warn retention.ms -1->10000"},
		"not kept for ever":              {kept, with("retention.ms", "99999999"), "set-config retention.ms 99999999->-1"},
		"retention left to the brokers":  {plain, with("retention.ms", "1"), ""},
		"retention of a compacted topic": {whole, with("retention.ms", "1"), ""},
		"bounded in bytes":               {users, with("retention.bytes", "1000"), "warn retention.bytes 1000->-1"},
		"a stream that is compacted":     {users, with("cleanup.policy", "compact"), "set-config cleanup.policy compact->delete"},
		"a stream that is both":          {users, with("cleanup.policy", "compact,delete"), "set-config cleanup.policy compact,delete->delete"},
		"a table that is deleted":        {table, with("cleanup.policy", "delete"), "set-config cleanup.policy delete->compact"},
		"a table that is both":           {table, with("cleanup.policy", "compact,delete"), "set-config cleanup.policy compact,delete->compact"},
		"a whole topic that is deleted":  {whole, with("cleanup.policy", "delete"), "set-config cleanup.policy delete->compact"},
		"compacted late as declared":     {slow, func(*Found) {}, ""},
		"compacted at once":              {slow, with("min.compaction.lag.ms", "0"), "set-config min.compaction.lag.ms 0->10000"},
		"compacted even later":           {slow, with("min.compaction.lag.ms", "10001"), ""},
		"a lag that is nobody's wish":    {whole, with("min.compaction.lag.ms", "5"), ""},
		"small messages":                 {letters, with("max.message.bytes", "1048588"), "set-config max.message.bytes 1048588->4194304"},
		"large messages":                 {users, with("max.message.bytes", "2000000"), ""},
		"larger than a dead letter":      {users, with("max.message.bytes", "4194305"), "warn max.message.bytes 4194305->4194304"},
		"as large as a dead letter":      {users, with("max.message.bytes", "4194304"), ""},
		"smaller than writers assume":    {users, with("max.message.bytes", "500000"), "set-config max.message.bytes 500000->1000012"},
		"one replica may acknowledge":    {users, with("min.insync.replicas", "1"), "set-config min.insync.replicas 1->2"},
		"no replica may be away":         {users, with("min.insync.replicas", "3"), "warn min.insync.replicas 3->2"},
		"no write is possible":           {users, with("min.insync.replicas", "4"), "set-config min.insync.replicas 4->2"},
		"no write on a single broker":    {plain, func(f *Found) { f.Replication = 1 }, "set-config min.insync.replicas 2->1"},
		"a single broker":                {plain, func(f *Found) { f.Replication, f.Config["min.insync.replicas"] = 1, "1" }, ""},
	} {
		cluster := Cluster{Partitions: 8, Replication: 3}
		n := c.spec.partitions(cluster)
		f := asDeclared(c.spec, n)
		c.change(&f)
		if f.Replication == 1 {
			cluster.Replication = -1
		}
		got := Plan([]*Spec{c.spec}, cluster, map[string]Found{c.spec.Name: f})
		switch {
		case c.want == "" && len(got) == 0:
		case len(got) != 1 || line(got[0]) != c.want:
			t.Errorf("%s: %v, want %q", name, got, c.want)
		case got[0].Why == "" || (got[0].Do == "") != (got[0].What == ToSet):
			t.Errorf("%s: why %q, do %q", name, got[0].Why, got[0].Do)
		}
	}
}

func TestMissingTopicsAreCreatedAsDeclared(t *testing.T) {
	specs := []*Spec{
		{Name: "users", Retention: 10 * time.Second},
		{Name: "kept", Retention: Forever},
		{Name: "plain"},
		{Name: "whole", Partitions: 1, Compact: true},
		Table("big", 2<<20),
		{Name: "slow", Partitions: 1, Compact: true, CompactionLag: 10 * time.Second},
		{Name: "no lag", Partitions: 1, CompactionLag: 10 * time.Second},
	}
	for _, c := range []struct {
		cluster Cluster
		insync  string
	}{
		{Cluster{Partitions: 8, Replication: 3}, "2"},
		{Cluster{Partitions: 8, Replication: 2}, ""},
		{Cluster{Partitions: 8, Replication: -1}, ""},
		{Cluster{Partitions: 8, Replication: -1, DefaultReplication: 3}, "2"},
		{Cluster{Partitions: 8, Replication: -1, DefaultReplication: 1}, ""},
	} {
		got := Plan(specs, c.cluster, nil)
		want := []New{
			{8, c.cluster.Replication, map[string]string{"cleanup.policy": "delete", "retention.ms": "10000"}},
			{8, c.cluster.Replication, map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}},
			{8, c.cluster.Replication, map[string]string{"cleanup.policy": "delete"}},
			{1, c.cluster.Replication, map[string]string{"cleanup.policy": "compact"}},
			{8, c.cluster.Replication, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "2162688"}},
			{1, c.cluster.Replication, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "10000"}},
			{1, c.cluster.Replication, map[string]string{"cleanup.policy": "delete"}},
		}
		if len(got) != len(want) {
			t.Fatalf("%+v: %d changes, want %d", c.cluster, len(got), len(want))
		}
		for i, w := range want {
			if c.insync != "" {
				w.Config["min.insync.replicas"] = c.insync
			}
			g := got[i]
			if g.Topic != specs[i].Name || g.What != ToCreate || g.New.Partitions != w.Partitions || g.New.Replication != w.Replication || !maps.Equal(g.New.Config, w.Config) {
				t.Errorf("%+v: %+v %+v, want %+v", c.cluster, g, g.New, w)
			}
		}
	}
}

// What was just created must not be planned for again.
func TestBuiltinTopicsNeedNothingOnceCreated(t *testing.T) {
	specs := append(Builtin(), Table("engage", 768<<10), Table("exposure", 256<<10))
	cluster := Cluster{Partitions: 8, Replication: 3}
	found := map[string]Found{}
	for _, c := range Plan(specs, cluster, nil) {
		f := Found{Partitions: c.New.Partitions, Replication: c.New.Replication, Config: map[string]string{
			"retention.ms": "604800000", "retention.bytes": "-1", "max.message.bytes": "1048588", "min.insync.replicas": "1",
			"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "9223372036854775807",
		}}
		maps.Copy(f.Config, c.New.Config)
		found[c.Topic] = f
	}
	if len(found) != len(specs) {
		t.Errorf("%d created of %d", len(found), len(specs))
	}
	if again := Plan(specs, cluster, found); len(again) != 0 {
		t.Errorf("planned again: %v", again)
	}
}

// Brokers refuse a shortest lag that is longer than the longest.
func TestLongestLagIsLiftedBeforeTheShortest(t *testing.T) {
	s := &Spec{Name: "slow", Partitions: 1, Compact: true, CompactionLag: 10 * time.Second}
	f := asDeclared(s, 1)
	f.Config["min.compaction.lag.ms"], f.Config["max.compaction.lag.ms"] = "0", "9999"
	got := Plan([]*Spec{s}, Cluster{Partitions: 8, Replication: 3}, map[string]Found{"slow": f})
	if len(got) != 2 || line(got[0]) != "set-config max.compaction.lag.ms 9999->9223372036854775807" || line(got[1]) != "set-config min.compaction.lag.ms 0->10000" {
		t.Errorf("plan: %v", got)
	}
}

func TestPlanKeepsTheOrderOfDeclarations(t *testing.T) {
	a, b := &Spec{Name: "a"}, &Spec{Name: "b", Retention: 10 * time.Second}
	f := asDeclared(b, 9)
	f.Config["cleanup.policy"], f.Config["retention.ms"] = "compact", "1"
	var lines []string
	for _, c := range Plan([]*Spec{b, a, b}, Cluster{Partitions: 8, Replication: 1}, map[string]Found{"b": f, "stranger": {Partitions: 3}}) {
		lines = append(lines, c.Topic+" "+string(c.What)+" "+c.Setting)
	}
	want := "b refuse partitions|b set-config retention.ms|b set-config cleanup.policy|a create "
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTwoDeclarationsOfOneTopicMustAgree(t *testing.T) {
	got := Plan([]*Spec{{Name: "a", Compact: true}, {Name: "a", Compact: true}, {Name: "a"}}, Cluster{Partitions: 1}, nil)
	if len(got) != 2 || got[0].What != ToCreate || got[1].What != Refused || !Is(got, Refused) || Is(got, Warned) {
		t.Errorf("plan: %v", got)
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	users := &Spec{Name: "users"}
	got := Plan([]*Spec{users}, Cluster{Partitions: 8, Replication: -1}, map[string]Found{"users": {Partitions: 4}})
	want := "topic users has 4 partitions, not 8: the number decides where a user's records and row lie; set --partitions 4, or copy it into a new topic with 8, while nothing writes"
	if len(got) != 1 || got[0].String() != want {
		t.Errorf("%v, want %s", got, want)
	}
}
