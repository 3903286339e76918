package topics

import (
	"fmt"
	"strconv"
	"strings"
)

// layout compares what is never changed: partitions and replication.
func layout(s *Spec, c Cluster, f Found) []Change {
	var all []Change
	if want := s.partitions(c); f.Partitions != want {
		d := Change{Topic: s.Name, What: Refused, Setting: partitionsOf, From: strconv.Itoa(f.Partitions), To: strconv.Itoa(want)}
		again := fmt.Sprintf("copy it into a new topic with %d, while nothing writes", want)
		switch {
		case s.Partitions == 0 && s.Compact:
			d.Why = "the number decides in which partition a user's row lies, and it must be that of the processor's inputs"
			d.Do = fmt.Sprintf("set --partitions %d if the inputs have as many, or copy table and inputs into new topics with %d", f.Partitions, want)
		case s.Partitions == 0:
			d.Why = "the number decides where a user's records and row lie"
			d.Do = fmt.Sprintf("set --partitions %d, or %s", f.Partitions, again)
		case s.Compact && want == 1:
			d.Why, d.Do = "it is read whole from its first partition, and what lies in others would not be seen", again
		default:
			d.What, d.Why, d.Do = Warned, "order and offsets hold within a partition only", again+", if that matters"
		}
		all = append(all, d)
	}
	if c.Replication > 0 && f.Replication > 0 && f.Replication < c.Replication {
		all = append(all, Change{
			Topic: s.Name, What: Warned, Setting: replicationOf, From: strconv.Itoa(f.Replication), To: strconv.Itoa(c.Replication),
			Why: "fewer copies than asked for", Do: "add replicas with kafka-reassign-partitions",
		})
	}
	return all
}

// storage compares what is kept, and for how long. Settings that keep more come before those that
// keep less.
func storage(s *Spec, f Found) []Change {
	var all []Change
	set := func(key, from, to, why string) {
		all = append(all, Change{Topic: s.Name, What: ToSet, Setting: key, From: from, To: to, Why: why})
	}
	if ms, ok := f.number(retentionMS); ok && !s.Compact && s.Retention != 0 {
		want := s.retentionMS()
		from, to := strconv.FormatInt(ms, 10), strconv.FormatInt(want, 10)
		switch {
		case shorter(ms, want):
			set(retentionMS, from, to, "records would be gone before they are no longer needed")
		case shorter(want, ms):
			all = append(all, Change{
				Topic: s.Name, What: Warned, Setting: retentionMS, From: from, To: to, Why: "what users did is kept longer than declared",
				Do: "set it by hand if you do not need it; shortening deletes records, so dwell does not",
			})
		}
	}
	if n, ok := f.number(retentionBytes); ok && n >= 0 && !s.Compact && s.Retention != 0 {
		all = append(all, Change{
			Topic: s.Name, What: Warned, Setting: retentionBytes, From: strconv.FormatInt(n, 10), To: "-1",
			Why: "a partition that grows beyond it loses records before their time", Do: "set it to -1, or make sure that the disk is the reason",
		})
	}
	if have, ok := f.Config[cleanupPolicy]; ok && strings.TrimSpace(have) != s.policy() {
		switch {
		case s.Compact && s.Partitions == 0:
			set(cleanupPolicy, have, s.policy(), "a group table keeps the newest row of each user for ever; anything else loses rows")
		case s.Compact:
			set(cleanupPolicy, have, s.policy(), "the newest record of each key must stay")
		default:
			set(cleanupPolicy, have, s.policy(), "compaction keeps one record of a user and drops the others")
		}
	}
	need := max(s.MaxMessageBytes, DefaultMessageBytes)
	n, ok := f.number(maxMessageBytes)
	if ok && n < int64(need) {
		set(maxMessageBytes, strconv.FormatInt(n, 10), strconv.Itoa(need), "brokers would refuse records of the size that is written here, and the writer would stop")
	}
	if most := DeadLetters.MessageBytes(); ok && n > int64(most) && !s.Compact && s.Name != DeadLetters.Name {
		all = append(all, Change{
			Topic: s.Name, What: Warned, Setting: maxMessageBytes, From: strconv.FormatInt(n, 10), To: strconv.Itoa(most),
			Why: "a record of more bytes than a dead letter takes is rejected without its value, and cannot be replayed",
			Do:  "set it lower by hand if no such records are meant to come",
		})
	}
	return all
}

// durability compares how many replicas must hold a record before it counts as written.
func durability(s *Spec, f Found) []Change {
	n, ok := f.number(minInsync)
	if !ok || f.Replication == 0 {
		return nil
	}
	d := Change{Topic: s.Name, What: ToSet, Setting: minInsync, From: strconv.FormatInt(n, 10), To: "2"}
	replicas := int64(f.Replication)
	if replicas < 3 {
		d.To = "1"
	}
	switch {
	case n > replicas:
		d.Why = fmt.Sprintf("replication is %d: brokers refuse every write", replicas)
	case n == replicas && n > 1:
		d.What, d.Why = Warned, "writes stop while one replica is away"
		d.Do = "add a replica, or set it lower by hand"
	case n < 2 && replicas >= 3:
		d.Why = "a record that one broker holds is lost with it"
	default:
		return nil
	}
	return []Change{d}
}

// number is a setting that brokers show as one; false: it is not known, and nothing is compared.
func (f Found) number(key string) (int64, bool) {
	n, err := strconv.ParseInt(f.Config[key], 10, 64)
	return n, err == nil
}

// shorter compares two values of retention.ms, where -1 is for ever.
func shorter(a, b int64) bool { return a >= 0 && (b < 0 || a < b) }
