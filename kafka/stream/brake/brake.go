// Package brake stops a processor that rejects too many records: most likely the records are right and
// the processor, or its configuration, is wrong.
//
// What enters is how many records each partition stepped and rejected in a transaction; what leaves is
// the word to stop, before that transaction commits. The counts of the last minute travel with the
// committed offsets, so a restart, or another instance that takes a partition over, goes on from them.
package brake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// Window is how long a transaction's counts bear on the next one.
	Window = time.Minute
	// slot is the grain of the window.
	slot = 10 * time.Second
	// mark opens a note.
	mark = "dwell-rejected"
)

// Limit says how much is too much: both must be passed within Window.
type Limit struct {
	// Percent of the records stepped that may be rejected, within (0, 100); zero means no limit.
	Percent float64
	// Records is how many must be rejected, so that a few bad ones stop nothing; at least 1.
	Records int64
}

// Validate reports every fault.
func (l Limit) Validate() error {
	switch {
	case !(l.Percent >= 0 && l.Percent < 100): // NaN is neither
		return fmt.Errorf("dead-letter limit: %v %% is not within 0 (no limit) to below 100", l.Percent)
	case l.Percent > 0 && l.Records < 1:
		return fmt.Errorf("dead-letter limit: at least %d rejected records; 1 is the least", l.Records)
	}
	return nil
}

// Count is what a partition did in one transaction.
type Count struct {
	Partition         int32
	Stepped, Rejected int64 // Stepped counts the rejected, too
	// First says where the first rejected record lies, and why it was rejected.
	First string
}

// Tripped is the word to stop.
type Tripped struct {
	// Stepped and Rejected are the records of the last Window, those of the open transaction too.
	Stepped, Rejected int64
	Limit             Limit
	// First says where the first rejected record of the open transaction lies, and why it was rejected.
	First string
}

// Error says how much was rejected, the first reason, and what to do.
func (t *Tripped) Error() string {
	return fmt.Sprintf("%d of %d records were rejected within %v, %.1f %%, and the limit is %g %%; the first of the last transaction is %s; "+
		"that transaction was taken back, so its records come again; to do: dwell dlq ls and dwell dlq show tell of those rejected before; "+
		"mend the processor or what feeds it and start again; to let the records go to the dead letters all the same, start with --dead-letter-percent 0",
		t.Rejected, t.Stepped, Window, 100*float64(t.Rejected)/float64(t.Stepped), t.Limit.Percent, t.First)
}

// Brake remembers the last Window. It may be used by many goroutines.
type Brake struct {
	limit Limit

	mu    sync.Mutex
	parts map[int32][]span // by time
}

// span is one slot of a partition.
type span struct {
	at                int64 // number of the slot since 1970
	stepped, rejected int64
}

// New makes a Brake that remembers nothing. limit must be valid.
func New(limit Limit) *Brake { return &Brake{limit: limit, parts: map[int32][]span{}} }

// Judge returns a *Tripped when the counts of an open transaction would pass the limit; it does not
// remember them. A transaction that rejects nothing always passes.
func (b *Brake) Judge(now time.Time, open []Count) error {
	t := &Tripped{Limit: b.limit}
	for _, c := range open {
		t.Stepped += c.Stepped
		t.Rejected += c.Rejected
		if t.First == "" {
			t.First = c.First
		}
	}
	if b.limit.Percent == 0 || t.Rejected == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := range b.parts {
		for _, s := range b.fresh(now, n) {
			t.Stepped += s.stepped
			t.Rejected += s.rejected
		}
	}
	if t.Rejected < b.limit.Records || 100*float64(t.Rejected) <= b.limit.Percent*float64(t.Stepped) {
		return nil
	}
	return t
}

// Add remembers the counts of a transaction that was, or is about to be, committed.
func (b *Brake) Add(now time.Time, done []Count) {
	if b.limit.Percent == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := number(now)
	for _, c := range done {
		if c.Stepped == 0 {
			continue
		}
		s := b.fresh(now, c.Partition)
		if len(s) == 0 || s[len(s)-1].at != at {
			s = append(s, span{at: at})
		}
		last := &s[len(s)-1]
		last.stepped += c.Stepped
		last.rejected += c.Rejected
		b.parts[c.Partition] = s
	}
}

// Note is what to keep of a partition beside its committed offset, as if c were remembered already;
// empty when nothing was rejected lately.
func (b *Brake) Note(now time.Time, c Count) string {
	if b.limit.Percent == 0 {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	spans := slices.Clone(b.fresh(now, c.Partition))
	if n := len(spans); n > 0 && spans[n-1].at == number(now) {
		spans[n-1].stepped += c.Stepped
		spans[n-1].rejected += c.Rejected
	} else {
		spans = append(spans, span{number(now), c.Stepped, c.Rejected})
	}
	text, rejected := strings.Builder{}, int64(0)
	text.WriteString(mark)
	for _, s := range spans {
		rejected += s.rejected
		fmt.Fprintf(&text, " %d:%d/%d", s.at, s.rejected, s.stepped)
	}
	if rejected == 0 {
		return ""
	}
	return text.String()
}

// Resume begins anew with the partitions that this instance has now, each with the notes that lie
// beside its committed offsets. What is no note, or too old, counts for nothing.
func (b *Brake) Resume(now time.Time, notes map[int32][]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parts = map[int32][]span{}
	for n, texts := range notes {
		var best []span
		for _, text := range texts { // one per input; the newest knows the most
			if s := parse(text); len(s) > 0 && (len(best) == 0 || s[len(s)-1].at > best[len(best)-1].at || sum(s) > sum(best)) {
				best = s
			}
		}
		b.parts[n] = best
		b.parts[n] = b.fresh(now, n)
	}
}

func sum(spans []span) (n int64) {
	for _, s := range spans {
		n += s.stepped
	}
	return n
}

// fresh are the slots of a partition that still bear; times to come are nobody's.
func (b *Brake) fresh(now time.Time, partition int32) []span {
	last := number(now)
	return slices.DeleteFunc(b.parts[partition], func(s span) bool { return s.at <= last-int64(Window/slot) || s.at > last })
}

func number(t time.Time) int64 { return t.Unix() / int64(slot/time.Second) }

// parse reads a note; nil when it is none.
func parse(text string) []span {
	fields := strings.Fields(text)
	if len(fields) < 2 || fields[0] != mark || len(fields) > 16 {
		return nil
	}
	var all []span
	for _, f := range fields[1:] {
		at, rest, _ := strings.Cut(f, ":")
		rejected, stepped, _ := strings.Cut(rest, "/")
		var s span
		for _, v := range []struct {
			to   *int64
			text string
		}{{&s.at, at}, {&s.rejected, rejected}, {&s.stepped, stepped}} {
			n, err := strconv.ParseInt(v.text, 10, 64)
			if err != nil || n < 0 {
				return nil
			}
			*v.to = n
		}
		if s.rejected > s.stepped {
			return nil
		}
		all = append(all, s)
	}
	return all
}
