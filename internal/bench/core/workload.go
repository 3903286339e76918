package core

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// The layouts below are little-endian, and Counter.java knows them too.
const (
	// eventBytes is the size of an event. One of Raw: number 0–8, send time in Unix ns 8–16, whether it asks
	// for an action 16, then filler.
	eventBytes = 200
	// actionBytes of an event are its action: number and send time.
	actionBytes = 16
	// rowBytes is the size of a row: count, sum, last time in Unix ms.
	rowBytes = 24
	// actionEvery: one event in so many asks for an action.
	actionEvery = 100
)

// tally is a user's row: how many events, the sum of the low bytes of their numbers, the last one's time.
type tally struct {
	Count, Sum uint64
	LastMS     int64
}

// add counts an event.
func (t *tally) add(e event, at time.Time) {
	t.count(e.number)
	t.LastMS = at.UnixMilli()
}

// count is add without the time.
func (t *tally) count(number uint64) {
	t.Count++
	t.Sum += number & 0xff
}

// event is what the job asks of an event.
type event struct {
	number uint64
	sentNS int64
	act    bool
}

// parse reads an event of Raw; it keeps nothing of b.
func parse(b []byte) (event, error) {
	if len(b) != eventBytes {
		return event{}, fmt.Errorf("%w: event of %d bytes", schemas.ErrUndecodable, len(b))
	}
	return event{binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:])), b[16] == 1}, nil
}

// encodeRaw makes an event of Raw.
func encodeRaw(number uint64, sentNS int64) []byte {
	b := make([]byte, eventBytes)
	binary.LittleEndian.PutUint64(b, number)
	binary.LittleEndian.PutUint64(b[8:], uint64(sentNS))
	if number%actionEvery == 0 {
		b[16] = 1
	}
	for i := 17; i < eventBytes; i++ {
		b[i] = byte(int(number)*31 + i*7)
	}
	return b
}

// loadedNS is the send time of an event that was there before the stack: whole milliseconds, a hundred
// events in each.
func loadedNS(number uint64) int64 {
	return time.UnixMilli(1_800_000_000_000 + int64(number/100)).UnixNano()
}

// action is what an event that asks for one leads to.
type action struct {
	number uint64
	sentNS int64
}

func (e event) action() action { return action{e.number, e.sentNS} }

// user of an event, scattered but fixed.
func user(number uint64, users int) int {
	return int((number * 0x9E3779B97F4A7C15 >> 20) % uint64(users))
}

// userKey is the key as dwell has them: tenant/user.
func userKey(u int) string { return "bench/user-" + strconv.Itoa(u) }

// eventCodec is the codec of an input of Raw.
type eventCodec struct{}

// Append implements schemas.Codec.
func (eventCodec) Append(dst []byte, e event) ([]byte, error) {
	return append(dst, encodeRaw(e.number, e.sentNS)...), nil
}

// Decode implements schemas.Codec.
func (eventCodec) Decode(b []byte) (event, error) { return parse(b) }

// actionCodec is the codec of the actions.
type actionCodec struct{}

// Append implements schemas.Codec.
func (actionCodec) Append(dst []byte, a action) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint64(dst, a.number)
	return binary.LittleEndian.AppendUint64(dst, uint64(a.sentNS)), nil
}

// Decode implements schemas.Codec.
func (actionCodec) Decode(b []byte) (action, error) {
	if len(b) != actionBytes {
		return action{}, fmt.Errorf("%w: action of %d bytes", schemas.ErrUndecodable, len(b))
	}
	return action{binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:]))}, nil
}

// tallyCodec is the codec of rows.
type tallyCodec struct{}

// Append implements schemas.Codec.
func (tallyCodec) Append(dst []byte, t *tally) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint64(dst, t.Count)
	dst = binary.LittleEndian.AppendUint64(dst, t.Sum)
	return binary.LittleEndian.AppendUint64(dst, uint64(t.LastMS)), nil
}

// Decode implements schemas.Codec.
func (tallyCodec) Decode(b []byte) (*tally, error) {
	if len(b) != rowBytes {
		return nil, fmt.Errorf("%w: row of %d bytes", schemas.ErrUndecodable, len(b))
	}
	return &tally{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), int64(binary.LittleEndian.Uint64(b[16:]))}, nil
}
