// Package pack stores the Decider's rows in few bytes. A row goes in, its bytes come out, and back.
//
// A packed row is, in this order:
//
//	Form     one byte that begins no protobuf record
//	size     how many events all campaigns together hold; its lowest bit: some of them are recent
//	recent   the ids that were stepped: a bit for each that is the next of the held ones, else a hash
//	held     the ids of the events that campaigns hold, each once, with its time
//	triggers the campaigns in their order, names and times by what differs from those before
//	rest     gates, profile, identity and the fields of newer versions: an EngageRow in protobuf
//
// A number is a varint, one that may be negative in zigzag; a hash is 8 bytes. Bytes that begin
// otherwise are a whole EngageRow in protobuf: so are rows of versions that knew no packing, and those
// that have nothing to pack or lists of lengths that no step leaves.
//
// A field that TriggerRow or TriggerPart gains is not packed unless this package learns it.
package pack

import (
	"errors"
	"fmt"

	"github.com/dwellhq/dwell/schemas"
)

// Form is the first byte of a packed row. As protobuf it is a field of number 0, which every decoder
// refuses: a version that knows no packing stops at such a row, and does not take it for an empty one.
const Form = 0x01

// plain is the form of rows that are not packed.
type plain = schemas.Proto[schemas.EngageRow, *schemas.EngageRow]

// errShort: the bytes end before what they announce, or are none that Append writes.
var errShort = errors.New("packed row is cut short or damaged")

// Append appends a row to dst. Equal rows make equal bytes.
func Append(dst []byte, row *schemas.EngageRow) ([]byte, error) {
	events, ok := held(row)
	switch {
	case !ok:
		return plain{}.Append(dst, row)
	case events <= few:
		return appendFew(dst, row)
	case events <= many:
		return appendMany(dst, row)
	}
	return appendMore(dst, row, events)
}

// appendPacked appends a row by means of a dictionary that has room for its events.
func appendPacked(dst []byte, row *schemas.EngageRow, d *dictionary) ([]byte, error) {
	start := len(dst)
	d.collect(row)
	dst = append(dst, Form)
	linked := uint64(0)
	if d.linked > 0 {
		linked = 1
	}
	dst = appendUvarint(dst, uint64(d.events)<<1|linked)
	dst = d.appendRecent(dst, row)
	dst = d.appendIDs(dst, row)
	dst = appendUvarint(dst, uint64(len(row.Triggers)))
	w := writer{dictionary: d, near: now(row)}
	before := ""
	for _, t := range row.Triggers {
		dst = appendName(dst, before, t.Campaign)
		dst = w.trigger(dst, t)
		before = t.Campaign
	}
	dst, err := appendRest(dst, row)
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// appendRest appends what is not packed.
func appendRest(dst []byte, row *schemas.EngageRow) ([]byte, error) {
	var err error
	if row.Gates != nil {
		dst, err = appendField(dst, gatesField, row.Gates)
	}
	if row.Profile != nil && err == nil {
		dst, err = appendField(dst, profileField, row.Profile)
	}
	if row.Identity != nil && err == nil {
		dst, err = appendField(dst, identityField, row.Identity)
	}
	if err != nil {
		return dst, fmt.Errorf("encode the rest of an engage row: %w", err)
	}
	return append(dst, row.Newer()...), nil
}

// The numbers of the fields of EngageRow that are not packed.
const (
	gatesField    = 10
	profileField  = 20
	identityField = 30
)

// appendField appends one field of EngageRow in protobuf.
func appendField[M any, T schemas.Message[M]](dst []byte, number uint64, part T) ([]byte, error) {
	n := part.SizeVT()
	dst = appendUvarint(appendUvarint(dst, number<<3|2), uint64(n)) // 2: it says its length
	at := len(dst)
	dst = append(dst, make([]byte, n)...)
	_, err := part.MarshalToSizedBufferVT(dst[at:])
	return dst, err
}

// Decode returns the row of what Append wrote. It shares no memory with b, and takes memory in
// proportion to b. An error wraps schemas.ErrUndecodable.
func Decode(b []byte) (*schemas.EngageRow, error) {
	if len(b) == 0 || b[0] != Form {
		return plain{}.Decode(b)
	}
	row := &schemas.EngageRow{}
	rest, ok := decode(row, b[1:])
	if !ok {
		return nil, fmt.Errorf("%w: engage row: %w", schemas.ErrUndecodable, errShort)
	}
	if len(rest) == 0 {
		return row, nil
	}
	ids, seconds, triggers := row.RecentIds, row.RecentS, row.Triggers
	row.RecentIds, row.RecentS, row.Triggers = nil, nil, nil
	if err := row.UnmarshalVT(rest); err != nil {
		return nil, fmt.Errorf("%w: rest of an engage row: %w", schemas.ErrUndecodable, err)
	}
	if len(row.RecentIds)+len(row.RecentS)+len(row.Triggers) > 0 {
		return nil, fmt.Errorf("%w: engage row: what is packed is there once more", schemas.ErrUndecodable)
	}
	row.RecentIds, row.RecentS, row.Triggers = ids, seconds, triggers
	return row, nil
}

// held counts the events that the campaigns hold; false: the row is to be plain.
func held(row *schemas.EngageRow) (events int, ok bool) {
	if len(row.RecentIds) != len(row.RecentS) || len(row.RecentIds)+len(row.Triggers) == 0 {
		return 0, false
	}
	for _, t := range row.Triggers {
		n := len(t.EventIds)
		if n != len(t.EventTimesMs) || !fits(len(t.EventSteps), n) || !fits(len(t.EventNumbers), n) {
			return 0, false
		}
		events += n
		for _, p := range t.Parts {
			n := len(p.EventIds)
			if n != len(p.EventTimesMs) || !fits(len(p.EventSteps), n) || !fits(len(p.EventNumbers), n) {
				return 0, false
			}
			events += n
		}
	}
	return events, true
}

// fits says whether a list is there for each of n entries, or not there.
func fits(list, n int) bool { return list == 0 || list == n }

// now is about when the row was stepped last, Unix milliseconds; 0: unknown.
func now(row *schemas.EngageRow) int64 {
	if n := len(row.RecentS); n > 0 {
		return second(row.RecentS[n-1])
	}
	return 0
}

// second is a second of a row in Unix milliseconds.
func second(s uint32) int64 { return int64(s) * 1000 }
