package exposure

import (
	"fmt"

	"github.com/dwellhq/dwell/schemas"
)

// Bounds of one user's row.
const (
	// MaxViews is how many page views a user may have open; the one opened first goes, EVICTED.
	MaxViews = 16
	// MaxParked is how many frames of a page view wait for the ones before them.
	MaxParked = 16
	// maxPast is how many closed fills an open page view remembers.
	maxPast = 64
	// maxRowBytes is the most that a row holds before page views go, EVICTED.
	maxRowBytes = 192 << 10
)

// Machine computes exposure by one policy. It holds nothing of a user and may be used by many
// goroutines. Same row and same calls in, same row and same entries out.
type Machine struct {
	policy Policy
	hash   string
}

// NewMachine refuses a policy that does not validate.
func NewMachine(p Policy) (Machine, error) {
	if err := p.Validate(); err != nil {
		return Machine{}, fmt.Errorf("exposure policy: %w", err)
	}
	return Machine{policy: p, hash: p.Hash()}, nil
}

// Frame steps one frame of the row's user, whose key is tenant/user, and returns the ledger entries
// that it and the deadlines before it made. changed is false when the row stayed as it was: the frame
// was invalid, of another user, a duplicate, or of a page view that has closed. The frame's received
// time moves the row's time; the row keeps f. An entry says which frame made it, whatever let it.
func (m Machine) Frame(row *schemas.ExposureRow, key string, at schemas.Coordinates, f *schemas.Frame) (entries []*schemas.Exposure, changed bool) {
	tenant, user := schemas.SplitKey(key)
	if f.Tenant != tenant || f.User != user || f.Validate() != nil {
		return nil, false
	}
	s := &step{Machine: m, row: row, tenant: tenant, user: user, at: at}
	changed = s.advance(f.ReceivedMs)
	v := s.find(f.PageView)
	if v == nil && isClosed(row, f.PageView) || v != nil && !expected(v, f.Seq) {
		return s.out, changed
	}
	row.TimeMs = max(row.TimeMs, f.ReceivedMs)
	if v == nil {
		v = s.open(f.PageView)
	}
	v.HeardMs = row.TimeMs
	park(v, &schemas.ExposureParked{Frame: f, ParkedMs: row.TimeMs, SrcOffset: at.Offset})
	s.drain(v)
	s.shed()
	return s.out, true
}

// Tick moves the row's time to nowMS, Unix milliseconds, and runs the deadlines that came, each at its
// own time: many ticks do what the last alone would.
func (m Machine) Tick(row *schemas.ExposureRow, key string, at schemas.Coordinates, nowMS int64) []*schemas.Exposure {
	tenant, user := schemas.SplitKey(key)
	s := &step{Machine: m, row: row, tenant: tenant, user: user, at: at}
	s.advance(nowMS)
	row.TimeMs = max(row.TimeMs, nowMS)
	return s.out
}

// Deadline is when the row wants its next tick, Unix milliseconds; 0 when it has nothing to wait for.
func (m Machine) Deadline(row *schemas.ExposureRow) int64 {
	s := step{Machine: m, row: row}
	if v, at := s.due(); v != nil {
		return at
	}
	if n := len(row.Closed); n > 0 {
		return row.Closed[n-1].ClosedMs + keepMS
	}
	return 0
}

// Spent says that the row may be forgotten: no page view is open, and the closed ones closed so long
// ago that the age of a late frame alone gives it away.
func (m Machine) Spent(row *schemas.ExposureRow) bool {
	n := len(row.Closed)
	return len(row.Views) == 0 && (n == 0 || row.Closed[n-1].ClosedMs+keepMS <= row.TimeMs)
}

// step is one call on one row.
type step struct {
	Machine
	row          *schemas.ExposureRow
	tenant, user string
	at           schemas.Coordinates
	out          []*schemas.Exposure
}

// due is the page view whose deadline comes first, nil for none, and when.
func (s *step) due() (first *schemas.ExposureView, at int64) {
	for _, v := range s.row.Views {
		d := v.HeardMs + s.policy.CloseMS
		if len(v.Parked) > 0 {
			d = oldest(v) + s.policy.WaitMS
		}
		if first == nil || d < at {
			first, at = v, d
		}
	}
	return first, at
}

// advance runs the deadlines up to a time, in order and each at its own time, and says whether one came.
func (s *step) advance(to int64) (ran bool) {
	for {
		v, at := s.due()
		if v == nil || at > max(to, s.row.TimeMs) {
			return ran
		}
		s.row.TimeMs = max(s.row.TimeMs, at)
		if ran = true; len(v.Parked) == 0 {
			s.close(v, 0)
			continue
		}
		s.release(v)
		s.drain(v)
	}
}

// drain applies the frames of a page view that need wait no longer.
func (s *step) drain(v *schemas.ExposureView) {
	for len(v.Parked) > 0 {
		next := v.Parked[0].Frame.Seq == v.NextSeq
		if !next && s.row.TimeMs-oldest(v) < s.policy.WaitMS && len(v.Parked) <= MaxParked {
			return
		}
		s.release(v)
	}
}

// release applies the first parked frame, over a gap if it is not the next.
func (s *step) release(v *schemas.ExposureView) {
	p := v.Parked[0]
	v.Parked = v.Parked[1:]
	s.apply(v, p, p.Frame.Seq != v.NextSeq)
}

// shed lets page views go until the row is small enough.
func (s *step) shed() {
	for s.row.SizeVT() > maxRowBytes && len(s.row.Views) > 0 {
		v := s.row.Views[0]
		switch {
		case len(s.row.Views) > 1:
			s.evict(v)
		case len(v.Parked) > 0:
			s.release(v)
			s.drain(v)
		default:
			return // slots and past fills at their bounds fit a row
		}
	}
}
