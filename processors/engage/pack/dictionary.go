package pack

import (
	"encoding/binary"

	"github.com/dwellhq/dwell/processors/engage/tree"
	"github.com/dwellhq/dwell/schemas"
)

// entry is one id of an event that campaigns hold.
type entry struct {
	id     string
	timeMS int64  // the event's time for the campaign that holds it first
	hash   uint64 // what recent_ids keep of it; unknown in a small dictionary
	recent int32  // its place in recent_ids; -1: none
	place  int32  // its place among the ids as they are stored
}

// Up to few held events are compared one with another; more are found by their hashes, and only then
// is it worth to leave these hashes out of recent_ids. Up to many need no memory but the stack's.
const (
	few  = 8
	many = 128
)

// dictionary are the ids of held events, each once. Its lists have room for all of them from the
// beginning, so that they need not leave the stack.
type dictionary struct {
	entries []entry // by their first appearance
	refs    []int32 // of each held event its entry, in the row's order
	stored  []int32 // the entries as they are stored: those of recent ids as these come, then the others
	table   []int32 // entries+1 by their hashes, a power of two of them; nil where they are compared

	ids, events, placed int // how many of entries, refs and stored there are
	linked              int // how many of the entries are recent
}

// appendFew, appendMany and appendMore append a row whose campaigns hold so many events.
func appendFew(dst []byte, row *schemas.EngageRow) ([]byte, error) {
	var entries [few]entry
	var refs, stored [few]int32
	return appendPacked(dst, row, &dictionary{entries: entries[:], refs: refs[:], stored: stored[:]})
}

func appendMany(dst []byte, row *schemas.EngageRow) ([]byte, error) {
	var entries [many]entry
	var refs, stored [many]int32
	var table [2 * many]int32
	return appendPacked(dst, row, &dictionary{entries: entries[:], refs: refs[:], stored: stored[:], table: table[:]})
}

func appendMore(dst []byte, row *schemas.EngageRow, events int) ([]byte, error) {
	size := 4 * many
	for size < 2*events {
		size *= 2
	}
	all := make([]int32, size+2*events)
	return appendPacked(dst, row, &dictionary{entries: make([]entry, events), table: all[:size], refs: all[size : size+events], stored: all[size+events:]})
}

// collect takes the events that campaigns hold.
func (d *dictionary) collect(row *schemas.EngageRow) {
	for _, t := range row.Triggers {
		d.take(t.EventIds, t.EventTimesMs)
		for _, p := range t.Parts {
			d.take(p.EventIds, p.EventTimesMs)
		}
	}
	d.arrange(row)
}

func (d *dictionary) take(ids []string, times []int64) {
	for i, id := range ids {
		if d.table == nil {
			d.compare(id, times[i])
		} else {
			d.look(id, times[i])
		}
	}
}

// compare finds or adds an id in a small dictionary.
func (d *dictionary) compare(id string, ms int64) {
	for i := range d.ids {
		if d.entries[i].id == id {
			d.refer(int32(i))
			return
		}
	}
	d.add(id, ms, 0)
}

// look finds or adds an id by its hash.
func (d *dictionary) look(id string, ms int64) {
	hash := hashOf(id)
	slot := d.slot(hash)
	for d.table[slot] != 0 {
		at := d.table[slot] - 1
		if d.entries[at].hash == hash && d.entries[at].id == id {
			d.refer(at)
			return
		}
		slot = d.after(slot)
	}
	d.add(id, ms, hash)
	d.table[slot] = int32(d.ids)
}

func (d *dictionary) add(id string, ms int64, hash uint64) {
	d.refer(int32(d.ids))
	e := &d.entries[d.ids]
	d.ids++
	e.id, e.timeMS, e.hash, e.recent = id, ms, hash, -1
}

func (d *dictionary) refer(at int32) {
	d.refs[d.events] = at
	d.events++
}

func (d *dictionary) slot(hash uint64) int { return int(hash & uint64(len(d.table)-1)) }

func (d *dictionary) after(slot int) int { return (slot + 1) & (len(d.table) - 1) }

// arrange finds which ids are recent, and gives each its place.
func (d *dictionary) arrange(row *schemas.EngageRow) {
	if d.table != nil {
		for i, hash := range row.RecentIds {
			if at := d.unlinked(hash); at >= 0 {
				d.entries[at].recent = int32(i)
				d.store(at)
			}
		}
	}
	d.linked = d.placed
	for at := range d.ids {
		if d.entries[at].recent < 0 {
			d.store(int32(at))
		}
	}
}

func (d *dictionary) store(at int32) {
	d.entries[at].place = int32(d.placed)
	d.stored[d.placed] = at
	d.placed++
}

// unlinked is an entry with this hash that has no recent id yet; -1: none.
func (d *dictionary) unlinked(hash uint64) int32 {
	for slot := d.slot(hash); d.table[slot] != 0; slot = d.after(slot) {
		at := d.table[slot] - 1
		if d.entries[at].hash == hash && d.entries[at].recent < 0 {
			return at
		}
	}
	return -1
}

// appendRecent appends the ids that were stepped: their seconds, which of them are those of held
// events if any is, and the hashes of the others.
func (d *dictionary) appendRecent(dst []byte, row *schemas.EngageRow) []byte {
	dst = appendUvarint(dst, uint64(len(row.RecentIds)))
	before := uint32(0)
	for _, s := range row.RecentS {
		dst = appendVarint(dst, int64(int32(s-before)))
		before = s
	}
	if d.linked == 0 {
		for _, hash := range row.RecentIds {
			dst = binary.LittleEndian.AppendUint64(dst, hash)
		}
		return dst
	}
	bits := len(dst)
	for range (len(row.RecentIds) + 7) / 8 {
		dst = append(dst, 0)
	}
	next := 0
	for i, hash := range row.RecentIds {
		if next < d.linked && d.entries[d.stored[next]].recent == int32(i) {
			dst[bits+i/8] |= 1 << (i % 8)
			next++
			continue
		}
		dst = binary.LittleEndian.AppendUint64(dst, hash)
	}
	return dst
}

// appendIDs appends the ids and times of held events. A time is told from the second in which the id
// was stepped; for an id that is not recent, from the time before it.
func (d *dictionary) appendIDs(dst []byte, row *schemas.EngageRow) []byte {
	if d.ids == 0 {
		return dst
	}
	if b, ok := d.appendEach(dst, row, uuid); ok {
		return b
	}
	dst, _ = d.appendEach(dst, row, mixed)
	return dst
}

// appendEach is appendIDs for ids of a kind; false: they are not.
func (d *dictionary) appendEach(dst []byte, row *schemas.EngageRow, kind uint64) ([]byte, bool) {
	dst = appendUvarint(dst, uint64(d.ids)<<1|kind)
	near := now(row)
	for _, at := range d.stored[:d.placed] {
		e := &d.entries[at]
		var b sixteen
		switch is := shorten(&b, e.id); {
		case kind == uuid && is == asUUID:
			dst = append(dst, b[:]...)
		case kind == uuid:
			return dst, false
		case is == asText:
			dst = append(appendUvarint(dst, asText+uint64(len(e.id))), e.id...)
		default:
			dst = append(append(dst, is), b[:]...)
		}
		if e.recent >= 0 {
			near = second(row.RecentS[e.recent])
		}
		dst = appendVarint(dst, e.timeMS-near)
		near = e.timeMS
	}
	return dst, true
}

// hashOf is what recent_ids keep of an event's id.
func hashOf(id string) uint64 { return tree.Hash("e", id) }
