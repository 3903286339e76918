package exposure

import (
	"cmp"
	"slices"

	"github.com/dwellhq/dwell/schemas"
)

// find returns the open page view, nil for none.
func (s *step) find(pageView string) *schemas.ExposureView {
	for _, v := range s.row.Views {
		if v.PageView == pageView {
			return v
		}
	}
	return nil
}

// open starts a page view; the one opened first makes room.
func (s *step) open(pageView string) *schemas.ExposureView {
	for len(s.row.Views) >= MaxViews {
		s.evict(s.row.Views[0])
	}
	v := &schemas.ExposureView{PageView: pageView}
	s.row.Views = append(s.row.Views, v)
	return v
}

// evict closes a page view after the frames that wait.
func (s *step) evict(v *schemas.ExposureView) {
	for len(v.Parked) > 0 {
		s.release(v)
	}
	if slices.Contains(s.row.Views, v) { // no parked frame was its end
		s.close(v, flagEvicted)
	}
}

// close ends a page view without an end frame, adding a flag to what is still open. Frames that wait
// behind the end are dropped: they are late.
func (s *step) close(v *schemas.ExposureView, why flags) {
	for _, f := range v.Fills {
		f.Flags |= uint32(why)
		if f.Exposing {
			f.TailMs += s.policy.HeartbeatMS
			f.Flags |= uint32(flagNoEnd)
		}
		s.emit(v, f, true)
	}
	v.Fills, v.Parked = nil, nil
	s.row.Views = slices.DeleteFunc(s.row.Views, func(o *schemas.ExposureView) bool { return o == v })
	remember(s.row, v.PageView)
}

// expected says whether a frame is neither applied nor parked yet.
func expected(v *schemas.ExposureView, seq uint32) bool {
	_, parked := slices.BinarySearchFunc(v.Parked, seq, bySeq)
	return seq >= v.NextSeq && !parked
}

func bySeq(p *schemas.ExposureParked, seq uint32) int { return cmp.Compare(p.Frame.GetSeq(), seq) }

// park keeps a frame by seq. What row and view say is taken out of it.
func park(v *schemas.ExposureView, p *schemas.ExposureParked) {
	p.Frame.Tenant, p.Frame.User, p.Frame.PageView = "", "", ""
	i, _ := slices.BinarySearchFunc(v.Parked, p.Frame.Seq, bySeq)
	v.Parked = slices.Insert(v.Parked, i, p)
}

// oldest is since when a page view waits.
func oldest(v *schemas.ExposureView) int64 {
	at := v.Parked[0].ParkedMs
	for _, p := range v.Parked {
		at = min(at, p.ParkedMs)
	}
	return at
}

// apply settles the time up to a frame and takes the frame's state for the time after it.
func (s *step) apply(v *schemas.ExposureView, p *schemas.ExposureParked, gap bool) {
	f := p.Frame
	v.NextSeq, v.SrcOffset = f.Seq+1, p.SrcOffset
	if !v.Begun && forgotten(s.row, f) {
		s.close(v, 0)
		return
	}
	v.Begun = true
	s.clock(v, f)
	iv := s.interval(v, f, gap)
	s.settle(v, f, iv)
	if s.take(v, f, iv.fault); f.End {
		s.close(v, 0)
	}
}

// clock ties the client's clock to the server's. A server time came with some delay, so est − ect is
// never above the true offset; the largest is the best.
func (s *step) clock(v *schemas.ExposureView, f *schemas.Frame) {
	offset := f.EstMs - f.EctMs
	switch {
	case v.Timed:
		v.OffsetMs = max(v.OffsetMs, offset)
	case f.ReceivedMs-f.EstMs <= s.policy.ClockAgeMS:
		v.Timed, v.OffsetMs, v.FirstEstMs = true, offset, f.EstMs
	}
}

// interval is the time between the last frame applied and the next.
type interval struct {
	// fault says that the frame's clock cannot be; such a frame ends no interval and starts none.
	fault flags
	// unproven says why the interval cannot be credited at all.
	unproven flags
	// from and to are its ends on the client's clock.
	from, to int64
	// tail is claimed but not proven.
	tail int64
	// pieces are what no page view has earned yet, on the client's clock; lost is the rest.
	pieces []piece
	lost   int64
	// engaged is how much of it lies within Policy.EngagedMS of a user act.
	engaged int64
	// floor and top are its proven ends on the server's clock.
	floor, top int64
}

// interval judges the time from the view's last frame to f and moves the view's clock to f.
func (s *step) interval(v *schemas.ExposureView, f *schemas.Frame, gap bool) interval {
	at := f.CtMs + v.OffsetMs
	switch {
	case v.Timed && at < v.FirstEstMs:
		return interval{fault: flagEarly}
	case v.Timed && at > f.ReceivedMs+s.policy.FastMS:
		return interval{fault: flagFast}
	case f.CtMs < v.CtMs:
		return interval{fault: flagBack}
	}
	iv := interval{from: v.CtMs, to: f.CtMs}
	delta := iv.to - iv.from
	iv.engaged = s.engaged(v, f)
	v.CtMs = f.CtMs
	if f.ActMs <= f.CtMs { // an act of the future is none
		v.ActMs = max(v.ActMs, f.ActMs)
	}
	switch {
	case gap:
		iv.unproven = flagGap
	case delta > s.policy.GapMS:
		iv.unproven = flagSleep
	case !v.Timed:
		iv.unproven = flagUntimed
	}
	if iv.unproven != 0 {
		iv.tail = min(s.policy.HeartbeatMS, delta)
		return iv
	}
	// The first server time bounds what is proven, also for a start that had none yet.
	iv.floor, iv.top = max(at-delta, v.FirstEstMs), at
	iv.tail = iv.floor - (at - delta)
	iv.pieces, iv.lost = free(s.row.Spans, iv.floor, iv.top), iv.top-iv.floor
	for i, p := range iv.pieces {
		iv.lost -= p.to - p.from
		iv.pieces[i] = piece{p.from - v.OffsetMs, p.to - v.OffsetMs}
	}
	return iv
}

// engaged is the whole interval if the user acted in it, else what is left of the act before. An act
// that resumes a page says nothing about the time before it.
func (s *step) engaged(v *schemas.ExposureView, f *schemas.Frame) int64 {
	delta := f.CtMs - v.CtMs
	if v.CtMs < f.ActMs && f.ActMs <= f.CtMs && !f.Resume {
		return delta
	}
	return min(max(v.ActMs+s.policy.EngagedMS-v.CtMs, 0), delta)
}
