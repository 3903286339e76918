package pack

import (
	"encoding/binary"
	"math"

	"github.com/dwellhq/dwell/schemas"
)

// What a progress says that it has, a bit each; the common ones are in the first byte.
const (
	hasEvents  = 1 << iota
	hasSteps   // one for each event
	hasHighest // else it is the last event's time, without events 0
	hasFloor
	hasNumbers // one for each event
	hasDue
	hasFired // how often, and when last
	isShadow
	hasParts
	hasTimes // else those of the dictionary
	hasNewer
	allFlags  = 1<<iota - 1
	partFlags = hasEvents | hasSteps | hasFloor | hasNumbers | hasDue | hasTimes | hasNewer
)

// progress is how far a user came, with a campaign or with one value of it.
type progress struct {
	ids        []string
	times      []int64
	steps      []uint32
	numbers    []float64
	floor, due int64
	newer      []byte
}

// writer appends progress after progress.
type writer struct {
	*dictionary
	next int   // the place in refs of the next held event
	near int64 // the time written last
}

// flags are those of what trigger and part have in common.
func (w *writer) flags(p *progress) (f uint64) {
	if len(p.ids) > 0 {
		f = hasEvents
	}
	if len(p.steps) > 0 {
		f |= hasSteps
	}
	if len(p.numbers) > 0 {
		f |= hasNumbers
	}
	if p.floor != 0 {
		f |= hasFloor
	}
	if p.due != 0 {
		f |= hasDue
	}
	if len(p.newer) > 0 {
		f |= hasNewer
	}
	for i, ms := range p.times {
		if w.entries[w.refs[w.next+i]].timeMS != ms {
			return f | hasTimes
		}
	}
	return f
}

func (w *writer) trigger(dst []byte, t *schemas.TriggerRow) []byte {
	p := &progress{t.EventIds, t.EventTimesMs, t.EventSteps, t.EventNumbers, t.FloorMs, t.DueMs, t.Newer()}
	f := w.flags(p)
	expected := int64(0)
	if n := len(p.times); n > 0 {
		expected = p.times[n-1]
	}
	if t.HighestMs != expected {
		f |= hasHighest
	}
	if t.Fired != 0 || t.LastMatchMs != 0 {
		f |= hasFired
	}
	if t.Shadow {
		f |= isShadow
	}
	if len(t.Parts) > 0 {
		f |= hasParts
	}
	dst = binary.LittleEndian.AppendUint64(dst, t.Pattern)
	dst = appendUvarint(dst, f)
	dst = w.events(dst, p, f)
	if f&hasHighest != 0 {
		dst = appendVarint(dst, t.HighestMs-w.near)
	}
	if t.HighestMs != 0 {
		w.near = t.HighestMs
	}
	dst = w.times(dst, p, f)
	if f&hasFired != 0 {
		dst = appendUvarint(dst, uint64(t.Fired))
		dst = appendVarint(dst, t.LastMatchMs-w.near)
	}
	if f&hasParts != 0 {
		dst = appendUvarint(dst, uint64(len(t.Parts)))
		for _, part := range t.Parts {
			dst = w.part(dst, part)
		}
	}
	return appendNewer(dst, p.newer)
}

func (w *writer) part(dst []byte, t *schemas.TriggerPart) []byte {
	p := &progress{t.EventIds, t.EventTimesMs, t.EventSteps, t.EventNumbers, t.FloorMs, t.DueMs, t.Newer()}
	dst = appendUvarint(dst, uint64(len(t.Value)))
	dst = append(dst, t.Value...)
	f := w.flags(p)
	dst = appendUvarint(dst, f)
	dst = w.events(dst, p, f)
	dst = w.times(dst, p, f)
	return appendNewer(dst, p.newer)
}

// events appends the events with their steps and numbers.
func (w *writer) events(dst []byte, p *progress, f uint64) []byte {
	if f&hasEvents == 0 {
		return dst
	}
	dst = appendUvarint(dst, uint64(len(p.ids)))
	before := int64(0)
	for i := range p.ids {
		e := &w.entries[w.refs[w.next+i]]
		if i == 0 {
			dst = appendUvarint(dst, uint64(e.place))
		} else {
			dst = appendVarint(dst, int64(e.place)-before)
		}
		before = int64(e.place)
		if f&hasTimes != 0 {
			dst = appendVarint(dst, p.times[i]-e.timeMS)
		}
	}
	w.next += len(p.ids)
	for _, s := range p.steps {
		dst = appendUvarint(dst, uint64(s))
	}
	for i, n := range p.numbers {
		dst = appendNumber(dst, n, p.times[i])
	}
	return dst
}

// times appends the floor and what is due: an absence's is mostly one of its numbers.
func (w *writer) times(dst []byte, p *progress, f uint64) []byte {
	if f&hasFloor != 0 {
		dst = appendVarint(dst, p.floor-w.near)
	}
	if f&hasDue != 0 {
		dst = appendVarint(dst, p.due-dueNear(p.numbers, w.near))
	}
	return dst
}

// dueNear is what the time that is due is told from.
func dueNear(numbers []float64, near int64) int64 {
	if len(numbers) > 0 && isWhole(numbers[0]) {
		return int64(numbers[0])
	}
	return near
}

func appendNewer(dst, newer []byte) []byte {
	if len(newer) == 0 {
		return dst
	}
	return append(appendUvarint(dst, uint64(len(newer))), newer...)
}

// How a number is written: the two lowest bits of a varint.
const (
	asFloat      = iota // its 8 bytes follow
	asWhole             // a whole number
	asMoment            // a time in milliseconds, from the event's
	asHundredths        // a hundredth of a whole number, as prices are
	numberBits   = 2
)

// maxWhole bounds the whole numbers that are written as such: a double holds each of them, and its
// zigzag leaves numberBits free.
const maxWhole = 1 << 53

// isWhole says whether a number is whole and small; not -0, which is not 0 to a row.
func isWhole(n float64) bool {
	return n > -maxWhole && n < maxWhole && n == math.Trunc(n) && (n != 0 || !math.Signbit(n))
}

func appendNumber(dst []byte, n float64, eventMS int64) []byte {
	if isWhole(n) {
		whole, d := int64(n), int64(n)-eventMS
		if abs(d) < abs(whole) && eventMS > -maxWhole && eventMS < maxWhole {
			return appendUvarint(dst, zigzag(d)<<numberBits|asMoment)
		}
		return appendUvarint(dst, zigzag(whole)<<numberBits|asWhole)
	}
	if h := math.Round(n * 100); isWhole(h) && math.Float64bits(h/100) == math.Float64bits(n) {
		return appendUvarint(dst, zigzag(int64(h))<<numberBits|asHundredths)
	}
	return binary.LittleEndian.AppendUint64(appendUvarint(dst, asFloat), math.Float64bits(n))
}

func abs(n int64) int64 { return max(n, -n) }
