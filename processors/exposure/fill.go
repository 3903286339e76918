package exposure

import (
	"cmp"
	"slices"

	"github.com/dwellhq/dwell/schemas"
)

// settle books an interval on every open fill, and closes the fills that f no longer shows.
func (s *step) settle(v *schemas.ExposureView, f *schemas.Frame, iv interval) {
	credited := false
	open := v.Fills[:0]
	for _, fill := range v.Fills {
		news, same := s.book(fill, iv), stays(fill, f)
		credited = credited || fill.Exposing && iv.fault|iv.unproven == 0
		fill.LastSeq = f.Seq
		if same {
			if open = append(open, fill); news && !f.End { // the end closes, and says it all
				s.emit(v, fill, false)
			}
			continue
		}
		s.emit(v, fill, true)
		shelve(v, fill)
	}
	clear(v.Fills[len(open):])
	v.Fills = open
	if credited {
		// What an open page view has not sent by now has the time of its silence and one wait to come.
		horizon := s.row.TimeMs - s.policy.CloseMS - s.policy.WaitMS
		s.row.Spans = cover(s.row.Spans, iv.floor, iv.top, horizon)
	}
}

// stays says whether a frame still shows the fill. A slot that opened after the last frame is another
// one, though it shows the same.
func stays(fill *schemas.ExposureFill, f *schemas.Frame) bool {
	for _, slot := range f.Slots {
		if slot.Slot == fill.Slot {
			again := slot.OpenedSeq > fill.LastSeq && slot.OpenedSeq <= f.Seq
			return slot.Fill == fill.Fill && !again
		}
	}
	return false
}

// book adds an interval to a fill and says whether the ledger must hear of it.
func (s *step) book(fill *schemas.ExposureFill, iv interval) (news bool) {
	fill.Flags |= uint32(iv.fault)
	if !fill.Exposing {
		return false
	}
	if fill.TailMs += iv.tail; iv.fault|iv.unproven != 0 {
		fill.Flags |= uint32(iv.unproven)
		fill.RunMs = 0
		return false
	}
	if iv.tail > 0 {
		fill.Flags |= uint32(flagUntimed)
	}
	if fill.OverlapMs += iv.lost; iv.lost > 0 {
		fill.Flags |= uint32(flagOverlap)
	}
	before, was := fill.ExposedMs, fill.Viewable
	at := iv.from
	for _, p := range iv.pieces {
		if p.from != at {
			fill.RunMs = 0
		}
		s.credit(fill, p)
		at = p.to
	}
	if at != iv.to {
		fill.RunMs = 0
	}
	gained := fill.ExposedMs - before
	fill.EngagedMs += min(iv.engaged, gained)
	if fill.Full {
		fill.FullMs += gained
	}
	return fill.ExposedMs/1000 > fill.Sec || fill.Viewable != was
}

// credit adds a proven piece to the fill and to its run.
func (s *step) credit(fill *schemas.ExposureFill, p piece) {
	fill.ExposedMs += p.to - p.from
	fill.RunMs += p.to - p.from
	fill.MaxRunMs = max(fill.MaxRunMs, fill.RunMs)
	q := s.policy.RunMS
	if fill.Video {
		q = s.policy.VideoRunMS
	}
	if !fill.Viewable && fill.RunMs >= q {
		fill.Viewable, fill.ViewableCtMs = true, p.to-(fill.RunMs-q)
	}
}

// take makes a frame's slots the state that holds until the next frame. A faulty frame opens and
// closes fills like any other, but nothing is exposed after it; nothing is after the end.
func (s *step) take(v *schemas.ExposureView, f *schemas.Frame, fault flags) {
	for _, slot := range f.Slots {
		i, ok := slices.BinarySearchFunc(v.Fills, slot.Slot, bySlot)
		if !ok {
			v.Fills = slices.Insert(v.Fills, i, s.start(v, f, slot))
		}
		fill := v.Fills[i]
		fill.Flags |= uint32(fault)
		fill.LastSeq = f.Seq
		fill.Campaign = cmp.Or(fill.Campaign, slot.Campaign)
		fill.Creative = cmp.Or(fill.Creative, slot.Creative)
		fill.Placement = cmp.Or(fill.Placement, slot.Placement)
		fill.Video = fill.Video || slot.Video
		fill.Exposing = fault == 0 && !f.End && s.policy.exposing(f, slot)
		if fill.Full = slot.InPx == slot.TotalPx; !fill.Exposing {
			fill.RunMs = 0
		}
	}
}

func bySlot(f *schemas.ExposureFill, slot string) int { return cmp.Compare(f.Slot, slot) }

// exposing says whether a slot counts as in view from a frame on.
func (p *Policy) exposing(f *schemas.Frame, slot *schemas.FrameSlot) bool {
	share := p.PixelShare
	if p.LargePx > 0 && slot.TotalPx >= p.LargePx {
		share = p.LargeShare
	}
	return f.Visible && (f.Focused || !p.FocusRequired) && !f.Frozen &&
		slot.TotalPx > 0 && slot.InPx >= 0 && slot.InPx <= slot.TotalPx && slot.InPx*1_000_000 >= share*slot.TotalPx &&
		(!slot.Video || slot.Playing)
}

// start opens a fill: a new one, or one that was shown before in this slot and goes on.
func (s *step) start(v *schemas.ExposureView, f *schemas.Frame, slot *schemas.FrameSlot) *schemas.ExposureFill {
	for i, fill := range v.Past {
		if fill.Slot == slot.Slot && fill.Fill == slot.Fill {
			v.Past = slices.Delete(v.Past, i, i+1)
			fill.Flags |= uint32(flagReopened)
			return fill
		}
	}
	started := f.ReceivedMs
	if v.Timed {
		started = min(started, f.CtMs+v.OffsetMs)
	}
	return &schemas.ExposureFill{Slot: slot.Slot, Fill: slot.Fill, FirstSeq: f.Seq, StartedMs: started, N: v.NFloor}
}

// shelve remembers a closed fill while its page view is open. One that is forgotten leaves its n behind:
// fills to come count from there, so that ids stay apart should it come back.
func shelve(v *schemas.ExposureView, fill *schemas.ExposureFill) {
	fill.Exposing, fill.RunMs = false, 0
	v.Past = append(v.Past, fill)
	for len(v.Past) > maxPast {
		v.NFloor = max(v.NFloor, v.Past[0].N)
		v.Past = slices.Delete(v.Past, 0, 1)
	}
}
