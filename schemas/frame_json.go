package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// frameVersion is the protocol that this server speaks.
const frameVersion = 1

// frameJSON is a frame as the browser writes it. The fields stay raw, so that one bad field does not
// hide the faults of the others.
type frameJSON struct {
	V, PV, Seq, CT, Est, Ect, Vis, Foc, Frz, Act, VW, VH, Slots, End, Resume, WT json.RawMessage
}

type slotJSON struct {
	O, Fill, In, Tot, Vid, Play, MT, Campaign, Creative, Placement json.RawMessage
}

// ParseFrame reads one frame in the browser's JSON. tenant, user and receivedMS (Unix milliseconds)
// are what the gateway knows; the frame's own uid is not looked at. Numbers may be fractional and are
// floored, but for v, seq and o; switches may be 0, 1, false or true; fill and the other ids may be
// numbers; fields that are unknown are passed over. v, pv, seq, ct and slots must be there. The slots
// come out in the order of their names. All faults are reported at once; with any the frame is nil.
func ParseFrame(b []byte, tenant, user string, receivedMS int64) (*Frame, error) {
	if len(b) > MaxFrameBytes {
		return nil, fmt.Errorf("frame: %d bytes, at most %d are taken", len(b), MaxFrameBytes)
	}
	var j frameJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	var r frameReader
	for _, must := range []struct {
		field string
		raw   json.RawMessage
	}{{"v", j.V}, {"seq", j.Seq}, {"ct", j.CT}, {"slots", j.Slots}} {
		if missing(must.raw) {
			r.add("%s: is missing", must.field)
		}
	}
	if v := r.whole("v", j.V); v != frameVersion && !missing(j.V) {
		r.add("v: %d is not spoken here, %d is", v, frameVersion)
	}
	f := &Frame{
		Tenant: tenant, User: user, ReceivedMs: receivedMS,
		PageView: r.text("pv", j.PV), Seq: r.seq("seq", j.Seq),
		CtMs: r.number("ct", j.CT), EstMs: r.number("est", j.Est), EctMs: r.number("ect", j.Ect),
		Visible: r.flag("vis", j.Vis), Focused: r.flag("foc", j.Foc), Frozen: r.flag("frz", j.Frz),
		ActMs:         r.number("act", j.Act),
		ViewportWidth: r.size("vw", j.VW), ViewportHeight: r.size("vh", j.VH),
		Slots: r.slots(j.Slots),
		End:   r.flag("end", j.End), Resume: r.flag("resume", j.Resume),
		WallMs: r.number("wt", j.WT),
	}
	r.keep(f.Validate())
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	return f, nil
}

// frameReader turns raw fields into values and collects what is wrong with them.
type frameReader struct{ faults []error }

func (r *frameReader) add(format string, a ...any) { r.keep(fmt.Errorf(format, a...)) }

func (r *frameReader) keep(err error) {
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

func missing(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// number floors a JSON number; 0 for none.
func (r *frameReader) number(field string, raw json.RawMessage) int64 {
	if missing(raw) {
		return 0
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if x = math.Floor(x); err != nil || math.Abs(x) > MaxFrameMS { // NaN and Inf have no JSON
		r.add("%s: %s is no number from 0 to %d", field, clip(string(raw)), int64(MaxFrameMS))
		return 0
	}
	return int64(x)
}

// whole is a number without a fraction.
func (r *frameReader) whole(field string, raw json.RawMessage) int64 {
	if missing(raw) {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		r.add("%s: %s is no whole number", field, clip(string(raw)))
	}
	return n
}

func (r *frameReader) seq(field string, raw json.RawMessage) uint32 {
	n := r.whole(field, raw)
	if n < 0 || n > MaxSeq {
		r.add("%s: %d lies outside 0 to %d", field, n, MaxSeq)
		return 0
	}
	return uint32(n)
}

// size is a length in CSS pixels.
func (r *frameReader) size(field string, raw json.RawMessage) int32 {
	n := r.number(field, raw)
	if n < 0 || n > math.MaxInt32 {
		r.add("%s: %d pixels lie outside 0 to %d", field, n, math.MaxInt32)
		return 0
	}
	return int32(n)
}

func (r *frameReader) flag(field string, raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "0", "false":
	case "1", "true":
		return true
	default:
		r.add("%s: %s is none of 0, 1, false, true", field, clip(string(raw)))
	}
	return false
}

// text is a string, or a number as it is written.
func (r *frameReader) text(field string, raw json.RawMessage) string {
	if missing(raw) {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		r.keep(json.Unmarshal(raw, &s))
		return s
	case c == '-' || c >= '0' && c <= '9':
		return string(raw)
	}
	r.add("%s: %s is neither a string nor a number", field, clip(string(raw)))
	return ""
}

func (r *frameReader) slots(raw json.RawMessage) []*FrameSlot {
	if missing(raw) {
		return nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		r.add("slots: must be a JSON object")
		return nil
	}
	if len(m) > MaxFrameSlots {
		r.add("slots: %d, at most %d are taken", len(m), MaxFrameSlots)
		return nil
	}
	out := make([]*FrameSlot, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, r.slot(name, m[name]))
	}
	return out
}

func (r *frameReader) slot(name string, raw json.RawMessage) *FrameSlot {
	var j slotJSON
	at := len(r.faults)
	if missing(raw) || raw[0] != '{' || json.Unmarshal(raw, &j) != nil {
		r.add("must be a JSON object")
	}
	s := &FrameSlot{
		Slot: name, OpenedSeq: r.seq("o", j.O), Fill: r.text("fill", j.Fill),
		InPx: r.number("in", j.In), TotalPx: r.number("tot", j.Tot),
		Video: r.flag("vid", j.Vid), Playing: r.flag("play", j.Play), MediaMs: r.number("mt", j.MT),
		Campaign: r.text("campaign", j.Campaign), Creative: r.text("creative", j.Creative), Placement: r.text("placement", j.Placement),
	}
	for ; at < len(r.faults); at++ {
		r.faults[at] = fmt.Errorf("slots: %q: %w", clip(name), r.faults[at])
	}
	return s
}
