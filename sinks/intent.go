package sinks

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxIntentBytes is what brokers take as an offset commit's metadata by default
// (offset.metadata.max.bytes).
const MaxIntentBytes = 4 << 10

const (
	intentOpens  = "v1;pending=["
	intentCloses = "]"
)

// Range is the offsets of a range's first and last record, both included.
type Range struct{ First, Last int64 }

// String is first-last.
func (r Range) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// Intent is what a commit's metadata says: these ranges may have been inserted, and whoever owns
// the partition next must insert exactly them, with the same tokens, before anything else.
type Intent struct {
	// Pending ranges in rising order.
	Pending []Range
}

// Encode is the metadata, such as v1;pending=[101-180,181-240]. It fails above MaxIntentBytes.
func (i Intent) Encode() (string, error) {
	if err := i.check(); err != nil {
		return "", err
	}
	b := []byte(intentOpens)
	for n, r := range i.Pending {
		if n > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, r.First, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, r.Last, 10)
	}
	b = append(b, intentCloses...)
	if len(b) > MaxIntentBytes {
		return "", fmt.Errorf("encode %d pending ranges: %d bytes, and brokers take %d", len(i.Pending), len(b), MaxIntentBytes)
	}
	return string(b), nil
}

// ParseIntent undoes Encode. Empty metadata, as Kafka's own tools leave it, is no pending range; any
// other text that Encode cannot have made is an error: what was sent before is then unknown.
func ParseIntent(s string) (Intent, error) {
	if s == "" {
		return Intent{}, nil
	}
	if len(s) > MaxIntentBytes {
		return Intent{}, fmt.Errorf("parse intent: %d bytes, at most %d", len(s), MaxIntentBytes)
	}
	list, ok := strings.CutPrefix(s, intentOpens)
	list, closed := strings.CutSuffix(list, intentCloses)
	if !ok || !closed {
		return Intent{}, fmt.Errorf("parse intent: %q is none of this version", s)
	}
	var i Intent
	if list == "" {
		return i, nil
	}
	for one := range strings.SplitSeq(list, ",") {
		first, last, _ := strings.Cut(one, "-")
		a, okA := offset(first)
		b, okB := offset(last)
		if !okA || !okB {
			return Intent{}, fmt.Errorf("parse intent %q: %q is no range", s, one)
		}
		i.Pending = append(i.Pending, Range{a, b})
	}
	if err := i.check(); err != nil {
		return Intent{}, fmt.Errorf("parse intent %q: %w", s, err)
	}
	return i, nil
}

// offset takes only what AppendInt writes, so that an intent has one spelling.
func offset(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}

func (i Intent) check() error {
	next := int64(0)
	for _, r := range i.Pending {
		if r.First < next || r.Last < r.First {
			return fmt.Errorf("range %s does not follow the one before", r)
		}
		next = r.Last + 1
	}
	return nil
}
