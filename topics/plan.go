package topics

import (
	"fmt"
	"strconv"
	"strings"
)

// What a Change asks for.
type What string

// The kinds of a Change. ToCreate and ToSet can be carried out; Refused must be settled by a person
// before dwell runs on the topic; Warned costs something but loses nothing.
const (
	ToCreate What = "create"
	ToSet    What = "set-config"
	Refused  What = "refuse"
	Warned   What = "warn"
)

// Cluster is how topics are made where a Spec leaves it open.
type Cluster struct {
	// Partitions of topics keyed by user.
	Partitions int
	// Replication asked for; -1 means the brokers' default.
	Replication int
	// DefaultReplication is the brokers' default; zero means unknown.
	DefaultReplication int
}

// Found is a topic as the brokers have it.
type Found struct {
	Partitions int
	// Replication is that of the partition with the fewest replicas; zero means unknown.
	Replication int
	// Config holds the settings in force, defaults included; what is not in it is not compared.
	Config map[string]string
}

// Change is one difference between what is declared and what was found.
type Change struct {
	Topic string
	What  What
	// Setting is partitions, replication or a configuration key; empty for ToCreate.
	Setting string
	// From is what was found, To what is needed; both are values of Setting, To describes a topic to create.
	From, To string
	// Why it matters.
	Why string
	// Do is what a person can do; empty where the change can be carried out.
	Do string
	// New is the topic to create; nil unless What is ToCreate.
	New *New
}

// New is a topic to create.
type New struct {
	Partitions int
	// Replication -1 means the brokers' default.
	Replication int
	Config      map[string]string
}

// String is the change as an error or a log line tells it.
func (c Change) String() string {
	switch {
	case c.What == ToCreate:
		return fmt.Sprintf("topic %s is missing: create it with %s", c.Topic, c.To)
	case c.Setting == partitionsOf && c.To != "":
		return fmt.Sprintf("topic %s has %s partitions, not %s: %s; %s", c.Topic, c.From, c.To, c.Why, c.Do)
	}
	text := fmt.Sprintf("topic %s: %s is %s, not %s: %s", c.Topic, c.Setting, c.From, c.To, c.Why)
	if c.Do != "" {
		text += "; " + c.Do
	}
	return text
}

// DefaultMessageBytes is the record batch that dwell's writers assume a topic to take where its Spec
// says nothing: what Kafka's own clients assume. Brokers take 1,048,588 unless told otherwise.
const DefaultMessageBytes = 1_000_012

// tableKeyBytes is room for a row's key beside the largest row.
const tableKeyBytes = 64 << 10

// MessageBytes is the most that a record batch in the topic may have, as dwell's writers take it.
func (s *Spec) MessageBytes() int {
	if s.MaxMessageBytes > 0 {
		return s.MaxMessageBytes
	}
	return DefaultMessageBytes
}

// recordOverhead is the most that a record and its batch add to key and value.
const recordOverhead = 512

// RecordBytes is the most that key and value of one record in the topic may have together.
func (s *Spec) RecordBytes() int { return s.MessageBytes() - recordOverhead }

// Table is the group table of a processor: its rows, newest per user. maxRowBytes bounds an encoded row.
func Table(processor string, maxRowBytes int) *Spec {
	s := &Spec{Name: "dwell." + processor + tableSuffix, Compact: true}
	if n := maxRowBytes + tableKeyBytes; n > DefaultMessageBytes {
		s.MaxMessageBytes = n
	}
	return s
}

const tableSuffix = "-table"

const (
	partitionsOf    = "partitions"
	replicationOf   = "replication"
	cleanupPolicy   = "cleanup.policy"
	retentionMS     = "retention.ms"
	retentionBytes  = "retention.bytes"
	maxMessageBytes = "max.message.bytes"
	minInsync       = "min.insync.replicas"
	minCompaction   = "min.compaction.lag.ms"
	maxCompaction   = "max.compaction.lag.ms"
)

// Plan compares the declared topics with those found, by name, and returns what differs, topic by
// topic in the order of specs; empty means that all is as declared. A topic that is declared more
// than once must be declared in the same way.
func Plan(specs []*Spec, cluster Cluster, found map[string]Found) []Change {
	var all []Change
	seen := map[string]*Spec{}
	for _, s := range specs {
		if first, ok := seen[s.Name]; ok {
			if a, b := first.shape(), s.shape(); a != b {
				all = append(all, Change{
					Topic: s.Name, What: Refused, Setting: "declaration", From: b, To: a,
					Why: "two programs declare the topic differently", Do: "declare it once and use that everywhere",
				})
			}
			continue
		}
		seen[s.Name] = s
		f, ok := found[s.Name]
		if !ok {
			all = append(all, creation(s, cluster, versions(s, specs, found)))
			continue
		}
		all = append(all, layout(s, cluster, f)...)
		all = append(all, storage(s, f)...)
		all = append(all, compaction(s, f, versions(s, specs, found))...)
		all = append(all, rows(s, f, specs, found)...)
		all = append(all, durability(s, f)...)
	}
	return all
}

// Is says whether any change is of that kind.
func Is(changes []Change, what What) bool {
	for _, c := range changes {
		if c.What == what {
			return true
		}
	}
	return false
}

func (s *Spec) shape() string {
	return fmt.Sprintf("partitions %d, retention %v, compact %t, lag %v, max.message.bytes %d", s.Partitions, s.Retention, s.Compact, s.CompactionLag, s.MaxMessageBytes)
}

func (s *Spec) partitions(c Cluster) int {
	if s.Partitions > 0 {
		return s.Partitions
	}
	return c.Partitions
}

func creation(s *Spec, c Cluster, keep lag) Change {
	replicas := c.Replication
	if replicas < 0 {
		replicas = c.DefaultReplication
	}
	n := &New{s.partitions(c), c.Replication, map[string]string{cleanupPolicy: s.policy()}}
	if s.Retention != 0 && !s.Compact {
		n.Config[retentionMS] = strconv.FormatInt(s.retentionMS(), 10)
	}
	if s.MaxMessageBytes > 0 {
		n.Config[maxMessageBytes] = strconv.Itoa(s.MaxMessageBytes)
	}
	if keep.ms > 0 {
		n.Config[minCompaction] = strconv.FormatInt(keep.ms, 10)
	}
	if replicas >= 3 {
		n.Config[minInsync] = "2"
	}
	to := []string{fmt.Sprintf("%d partitions", n.Partitions)}
	switch {
	case replicas > 0:
		to = append(to, fmt.Sprintf("replication %d", replicas))
	default:
		to = append(to, "the brokers' default replication")
	}
	for _, k := range []string{cleanupPolicy, retentionMS, minCompaction, maxMessageBytes, minInsync} {
		if v, ok := n.Config[k]; ok {
			to = append(to, k+"="+v)
		}
	}
	return Change{Topic: s.Name, What: ToCreate, To: strings.Join(to, ", "), Why: "missing", New: n}
}

func (s *Spec) policy() string {
	if s.Compact {
		return "compact"
	}
	return "delete"
}

// retentionMS is what retention.ms must be; Forever is -1 there, too.
func (s *Spec) retentionMS() int64 {
	if s.Retention == Forever {
		return -1
	}
	return s.Retention.Milliseconds()
}
