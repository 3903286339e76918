package dispatch

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// A commit says two things of a partition: the offset before which all is finished, and, in its
// metadata, which records behind that offset are not. Without the second, one user who stays away
// for a day would make a restart deliver a day's actions again.
//
// The metadata is "u1;" and, in base64url, varints: how far behind the offset the metadata speaks
// (the horizon), then the unfinished offsets, each as its distance from the one before (the first
// from the commit's offset). When they do not all fit, the horizon lies at the first that does not.

const (
	memoryPrefix = "u1;"
	// memoryBytes bounds the varints: base64 makes 4/3 of them, and brokers take 4096 bytes.
	memoryBytes = 2900
)

var errMemory = errors.New("commit metadata of another kind")

// memory is what a predecessor knew of the records behind its commit.
type memory struct {
	// from is the offset of the commit.
	from int64
	// horizon: nothing is known of the records from here on.
	horizon int64
	// open are the unfinished records before it.
	open map[int64]bool
}

// finished says whether the predecessor finished a record.
func (m memory) finished(offset int64) bool {
	return offset >= m.from && offset < m.horizon && !m.open[offset]
}

// encodeMemory says what is open of the records from at up to next; open is ascending.
func encodeMemory(at, next int64, open iter.Seq[int64]) string {
	horizon, last := next, at
	var deltas []byte
	for o := range open {
		longer := binary.AppendUvarint(deltas, uint64(o-last))
		if len(longer) > memoryBytes {
			horizon = o
			break
		}
		deltas, last = longer, o
	}
	b := binary.AppendUvarint(nil, uint64(horizon-at))
	return memoryPrefix + base64.RawURLEncoding.EncodeToString(append(b, deltas...))
}

// decodeMemory reads the metadata of a commit at an offset. Without metadata nothing is known.
func decodeMemory(at int64, meta string) (memory, error) {
	if meta == "" {
		return memory{}, nil
	}
	text, ok := strings.CutPrefix(meta, memoryPrefix)
	if !ok {
		return memory{}, fmt.Errorf("%w: %.20q", errMemory, meta)
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return memory{}, fmt.Errorf("%w: %w", errMemory, err)
	}
	m := memory{from: at, open: map[int64]bool{}}
	last := at
	for first := true; len(b) > 0; first = false {
		d, n := binary.Uvarint(b)
		if n <= 0 || d > 1<<62 || last+int64(d) < last {
			return memory{}, fmt.Errorf("%w: cut off or out of range", errMemory)
		}
		b = b[n:]
		if first {
			m.horizon = at + int64(d)
			continue
		}
		last += int64(d)
		if last >= m.horizon {
			return memory{}, fmt.Errorf("%w: offset %d behind the horizon %d", errMemory, last, m.horizon)
		}
		m.open[last] = true
	}
	return m, nil
}
