package topics

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// BrokerRetention is how long Apache Kafka's brokers keep records unless they are told otherwise.
const BrokerRetention = 7 * day

// lag is how long versions must stay in a compacted topic that newer ones have replaced.
type lag struct {
	ms int64 // 0: as long as the brokers like
	// journal is the one that asks for it; empty: the topic's own declaration does.
	journal string
}

// versions is the lag of a topic: what it declares, or the retention of the longest of LagAs.
func versions(s *Spec, specs []*Spec, found map[string]Found) lag {
	if !s.Compact {
		return lag{}
	}
	return lag{ms: lasting(s.CompactionLag)}.orOf(s.LagAs, specs, found)
}

// orOf is the lag, or the retention of the longest of these journals where that is longer.
func (l lag) orOf(journals []string, specs []*Spec, found map[string]Found) lag {
	for _, name := range journals {
		if ms := retained(name, specs, found); ms > l.ms {
			l = lag{ms, name}
		}
	}
	return l
}

// retained is for how long a topic keeps its records, milliseconds, once the plan is carried out.
func retained(name string, specs []*Spec, found map[string]Found) (ms int64) {
	for _, s := range specs {
		if s.Name == name {
			ms = max(ms, lasting(s.Retention))
		}
	}
	if have, ok := found[name].number(retentionMS); ok {
		if have < 0 {
			have = math.MaxInt64
		}
		ms = max(ms, have)
	}
	if ms == 0 {
		return BrokerRetention.Milliseconds()
	}
	return ms
}

// lasting is a declared time in milliseconds; Forever is longer than any.
func lasting(d time.Duration) int64 {
	if d == Forever {
		return math.MaxInt64
	}
	return d.Milliseconds()
}

// compaction compares how long versions stay that a newer one has replaced.
func compaction(s *Spec, f Found, keep lag) []Change {
	n, ok := f.number(minCompaction)
	if !ok || n >= keep.ms {
		return nil
	}
	var all []Change
	// Brokers refuse a shortest time that is longer than the longest.
	if most, ok := f.number(maxCompaction); ok && most < keep.ms {
		all = append(all, Change{
			Topic: s.Name, What: ToSet, Setting: maxCompaction, From: strconv.FormatInt(most, 10), To: strconv.FormatInt(math.MaxInt64, 10),
			Why: "compaction would be due before it may begin",
		})
	}
	return append(all, Change{
		Topic: s.Name, What: ToSet, Setting: minCompaction, From: strconv.FormatInt(n, 10), To: strconv.FormatInt(keep.ms, 10),
		Why: fmt.Sprintf("compaction would remove versions that %s still names, and replay-check could not do its runs again", keep.who()),
	})
}

// rows warns where versions of a table's rows go before the journals that name them.
func rows(s *Spec, f Found, specs []*Spec, found map[string]Found) []Change {
	n, ok := f.number(minCompaction)
	keep := lag{}.orOf(s.NamedBy, specs, found)
	if !s.Compact || !ok || n >= keep.ms {
		return nil
	}
	return []Change{{
		Topic: s.Name, What: Warned, Setting: minCompaction, From: strconv.FormatInt(n, 10), To: strconv.FormatInt(keep.ms, 10),
		Why: fmt.Sprintf("compaction removes versions of rows that %s still names, and replay-check cannot do all of its runs again", keep.who()),
		Do:  "set it by hand if you replay that processor; the table then keeps every version for so long, and whoever recovers it reads them all",
	}}
}

func (l lag) who() string {
	if l.journal == "" {
		return "a journal"
	}
	return l.journal
}

// Lacking compares the settings in force of a compacted topic with those of a journal that names its
// versions, and says what is wrong and what to do; empty: nothing is, or the brokers do not tell.
func Lacking(topic string, have map[string]string, journal string, kept map[string]string) string {
	n, ok := Found{Config: have}.number(minCompaction)
	ms, told := Found{Config: kept}.number(retentionMS)
	if ms < 0 {
		ms = math.MaxInt64
	}
	if !ok || !told || n >= ms {
		return ""
	}
	return fmt.Sprintf("topic %s: %s is %d, and %s keeps what it says for %d ms: compaction removes versions that it still names, and replay-check cannot do its runs again; "+
		"set it: kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name %s --add-config %s=%d", topic, minCompaction, n, journal, ms, topic, minCompaction, ms)
}
