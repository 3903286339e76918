package pack

import (
	"strings"

	"github.com/dwellhq/dwell/schemas"
)

// The fewest bytes that a thing takes, so that a count that claims more than can follow is refused
// before there is memory for it.
const (
	minRecent  = 1  // a second
	minID      = 2  // its kind, its time
	minEvent   = 1  // its place
	minTrigger = 10 // a name, a pattern, flags
	minPart    = 2  // a value, flags
)

// rowReader is a row on its way.
type rowReader struct {
	reader
	near int64 // the time read last
	left int   // how many held events have not been read

	// Lists of all progress lie one behind the other, each with no room behind it.
	allIDs     []string
	allTimes   []int64
	allSteps   []uint32
	allNumbers []float64
}

// heldIDs are the ids that campaigns hold, as they are stored, and the times of their events. They go
// from hand to hand and not in a rowReader, so that a few of them need not leave the stack.
type heldIDs struct {
	ids   []string
	times []int64
	n     int // how many of them there are
}

// decode reads what is packed into a row, and returns the rest.
func decode(row *schemas.EngageRow, b []byte) (rest []byte, ok bool) {
	var fewIDs [few]string
	var fewTimes [few]int64
	held := heldIDs{ids: fewIDs[:], times: fewTimes[:]}
	r := rowReader{reader: reader{b: b}}
	size := r.uvarint()
	r.left = r.count(size>>1, minEvent)
	linked := r.recent(row, size&1 != 0)
	r.near = now(row)
	if r.left > 0 {
		r.dictionary(row, linked, &held)
	} else if size&1 != 0 {
		r.fail()
	}
	if n := r.count(r.uvarint(), minTrigger); n > 0 {
		r.triggers(row, n, &held)
	}
	return r.b, !r.bad && r.left == 0
}

// recent reads the ids that were stepped, but for those of held events; it returns a bit for each.
func (r *reader) recent(row *schemas.EngageRow, linked bool) (bits []byte) {
	n := r.count(r.uvarint(), minRecent)
	if n == 0 {
		return nil
	}
	row.RecentS = make([]uint32, n)
	before := uint32(0)
	for i := range row.RecentS {
		before += uint32(r.varint())
		row.RecentS[i] = before
	}
	if linked {
		bits = r.take(uint64((n + 7) / 8))
	}
	row.RecentIds = make([]uint64, n)
	for i := range row.RecentIds {
		if !isLinked(bits, i) {
			row.RecentIds[i] = r.fixed64()
		}
	}
	return bits
}

func isLinked(bits []byte, i int) bool { return i/8 < len(bits) && bits[i/8]>>(i%8)&1 != 0 }

// dictionary reads the ids and times of held events; those of recent ids come first, in their order.
func (r *rowReader) dictionary(row *schemas.EngageRow, linked []byte, h *heldIDs) {
	size := r.uvarint()
	n := r.count(size>>1, minID)
	var fewEnds [few]int
	ends := fewEnds[:]
	if n > few {
		h.ids, h.times, ends = make([]string, n), make([]int64, n), make([]int, n)
	}
	h.n = n
	var text strings.Builder
	if size&1 == uuid {
		text.Grow(uuidText * n)
	}
	near, recent := now(row), -1
	for i := range n {
		if size&1 == uuid {
			r.id(&text, asUUID)
		} else {
			r.id(&text, r.uvarint())
		}
		ends[i] = text.Len()
		if recent = nextLinked(linked, recent+1, len(row.RecentS)); recent < len(row.RecentS) {
			near = second(row.RecentS[recent])
		}
		near += r.varint()
		h.times[i] = near
	}
	all, begin := text.String(), 0
	for i, end := range ends[:n] {
		h.ids[i] = all[begin:end]
		begin = end
	}
	r.link(row, linked, h)
}

// link puts the hashes of held events where recent_ids left them out.
func (r *rowReader) link(row *schemas.EngageRow, linked []byte, h *heldIDs) {
	i := -1
	for _, id := range h.ids[:h.n] {
		if i = nextLinked(linked, i+1, len(row.RecentIds)); i >= len(row.RecentIds) {
			return
		}
		row.RecentIds[i] = hashOf(id)
	}
	if nextLinked(linked, i+1, len(row.RecentIds)) < len(row.RecentIds) {
		r.fail()
	}
}

// nextLinked is the first of n recent ids, from i on, that is that of a held event; n or more: none.
func nextLinked(linked []byte, i, n int) int {
	for i < n && !isLinked(linked, i) {
		i++
	}
	return i
}

// id appends the next id to text.
func (r *rowReader) id(text *strings.Builder, kind uint64) {
	if kind >= asText {
		text.Write(r.take(kind - asText))
		return
	}
	var whole [uuidText]byte
	switch b := r.take(half); {
	case b == nil:
	case kind == asUUID:
		text.Write(appendUUID(whole[:0], b))
	default:
		text.Write(appendHex(whole[:0], b))
	}
}

// together is how many campaigns' progress lies in one piece of memory.
const together = 16

// triggers reads the progress with n campaigns.
func (r *rowReader) triggers(row *schemas.EngageRow, n int, h *heldIDs) {
	var some []schemas.TriggerRow
	row.Triggers = make([]*schemas.TriggerRow, n)
	var fewEnds [few]int
	ends := fewEnds[:0]
	if n > few {
		ends = make([]int, 0, n)
	}
	var fewText [8 * nibble]byte
	names, before := fewText[:0], 0
	for i := range row.Triggers {
		begin := len(names)
		names = r.name(names, before)
		before, ends = begin, append(ends, len(names))
		t := &carve(&some, 1, min(n-i, together))[0]
		row.Triggers[i] = t
		r.trigger(t, h)
		if r.bad {
			return
		}
	}
	text, begin := string(names), 0
	for i, end := range ends {
		row.Triggers[i].Campaign = text[begin:end]
		begin = end
	}
}

func (r *rowReader) trigger(t *schemas.TriggerRow, h *heldIDs) {
	t.Pattern = r.fixed64()
	f := r.flags(allFlags)
	p := r.events(f, h)
	if n := len(p.times); n > 0 {
		t.HighestMs = p.times[n-1]
	}
	if f&hasHighest != 0 {
		t.HighestMs = r.near + r.varint()
	}
	if t.HighestMs != 0 {
		r.near = t.HighestMs
	}
	r.moments(&p, f)
	t.EventIds, t.EventTimesMs, t.EventSteps, t.EventNumbers, t.FloorMs, t.DueMs = p.ids, p.times, p.steps, p.numbers, p.floor, p.due
	if f&hasFired != 0 {
		t.Fired = r.uint32()
		t.LastMatchMs = r.near + r.varint()
	}
	t.Shadow = f&isShadow != 0
	if f&hasParts != 0 {
		n := r.count(r.uvarint(), minPart)
		all := make([]schemas.TriggerPart, n)
		t.Parts = make([]*schemas.TriggerPart, n)
		for i := range all {
			t.Parts[i] = &all[i]
			r.part(&all[i], h)
		}
	}
	if f&hasNewer != 0 {
		t.KeepNewer(r.newer())
	}
}

func (r *rowReader) part(t *schemas.TriggerPart, h *heldIDs) {
	t.Value = string(r.take(r.uvarint()))
	f := r.flags(partFlags)
	p := r.events(f, h)
	r.moments(&p, f)
	t.EventIds, t.EventTimesMs, t.EventSteps, t.EventNumbers, t.FloorMs, t.DueMs = p.ids, p.times, p.steps, p.numbers, p.floor, p.due
	if f&hasNewer != 0 {
		t.KeepNewer(r.newer())
	}
}

// flags reads which of some a progress has; another one is of a form that this version does not know.
func (r *rowReader) flags(known uint64) uint64 {
	f := r.uvarint()
	if f&^known != 0 || f&hasEvents == 0 && f&(hasSteps|hasNumbers|hasTimes) != 0 {
		r.fail()
		return 0
	}
	return f
}

// events reads the events of a progress with their steps and numbers.
func (r *rowReader) events(f uint64, h *heldIDs) (p progress) {
	if f&hasEvents == 0 {
		return p
	}
	n := r.count(r.uvarint(), minEvent)
	if n > r.left {
		r.fail()
	}
	if r.bad {
		return p
	}
	p.ids, p.times = carve(&r.allIDs, n, r.left), carve(&r.allTimes, n, r.left)
	place := int64(0)
	for i := range p.ids {
		if i == 0 {
			place = int64(r.uvarint())
		} else {
			place += r.varint()
		}
		if place < 0 || place >= int64(h.n) {
			r.fail()
			return p
		}
		p.ids[i], p.times[i] = h.ids[place], h.times[place]
		if f&hasTimes != 0 {
			p.times[i] += r.varint()
		}
	}
	if f&hasSteps != 0 {
		p.steps = carve(&r.allSteps, n, r.left)
		for i := range p.steps {
			p.steps[i] = r.uint32()
		}
	}
	if f&hasNumbers != 0 {
		p.numbers = carve(&r.allNumbers, n, r.left)
		for i := range p.numbers {
			p.numbers[i] = r.number(p.times[i])
		}
	}
	r.left -= n
	return p
}

// moments reads the floor and what is due.
func (r *rowReader) moments(p *progress, f uint64) {
	if f&hasFloor != 0 {
		p.floor = r.near + r.varint()
	}
	if f&hasDue != 0 {
		p.due = dueNear(p.numbers, r.near) + r.varint()
	}
}

// carve returns a list of n from what is left of all, which is made for as many as may still come.
func carve[T any](all *[]T, n, left int) []T {
	if len(*all) < n {
		*all = make([]T, left)
	}
	list := (*all)[:n:n]
	*all = (*all)[n:]
	return list
}
