// Package exposure turns visibility frames into a ledger of seconds seen.
//
// What enters: full snapshots of a page view's slots (topics.Frames), keyed by tenant/user, in the
// log's order. What leaves: ledger entries (topics.Exposures), each what one fill (a creative in a
// slot of a page view) gained. The server alone computes, in whole milliseconds and integers; the
// browser never sends a total. Time is credited only between two proven ends, and no two page views
// of one user earn the same millisecond.
package exposure

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Policy says what counts as seen. Lengths are milliseconds unless named otherwise.
type Policy struct {
	// PixelShare is the part of a slot's pixels that must be in view, in millionths, 1 to 1,000,000.
	PixelShare int64
	// LargePx is the area from which a slot counts as large and LargeShare applies; zero: no slot is.
	LargePx    int64
	LargeShare int64
	// RunMS and VideoRunMS are the unbroken exposure that makes a fill viewable.
	RunMS      int64
	VideoRunMS int64
	// CapS bounds the billable seconds of a fill; zero means no cap.
	CapS int64
	// FocusRequired counts a visible page only while it has the focus.
	FocusRequired bool
	// EngagedMS is how long a user act keeps the user engaged.
	EngagedMS int64
	// HeartbeatMS (H) is how often a browser sends a frame while anything is in view: the most that
	// an unproven interval may claim as tail.
	HeartbeatMS int64
	// GapMS (G) is the longest interval between two frames that is credited.
	GapMS int64
	// WaitMS (W) is how long a frame waits for the ones before it.
	WaitMS int64
	// CloseMS (C) of silence close a page view.
	CloseMS int64
	// FastMS is how far a frame may lie ahead of the server's clock.
	FastMS int64
	// ClockAgeMS is how old the first server time that a page view holds may be when its frame
	// arrives; an older one ties the client's clock to nothing.
	ClockAgeMS int64
}

// DefaultPolicy follows the MRC: half of the pixels (30 % of a large slot) for one second, two for
// video; 20 seconds are billable.
func DefaultPolicy() Policy {
	return Policy{
		PixelShare: 500_000, LargePx: 242_500, LargeShare: 300_000, RunMS: 1000, VideoRunMS: 2000, CapS: 20, FocusRequired: true,
		EngagedMS: 5000, HeartbeatMS: 5000, GapMS: 6000, WaitMS: 10_000, CloseMS: 120_000, FastMS: 250, ClockAgeMS: 600_000,
	}
}

// maxPolicy bounds every number of a policy, so that sums with times stay far from overflow.
const maxPolicy = 1 << 40

// Validate reports every fault of the policy.
func (p Policy) Validate() error {
	var faults []error
	for _, f := range []struct {
		field      string
		v, lo, top int64
	}{
		{"PixelShare", p.PixelShare, 1, 1_000_000},
		{"LargePx", p.LargePx, 0, maxPolicy},
		{"RunMS", p.RunMS, 1, maxPolicy},
		{"VideoRunMS", p.VideoRunMS, 1, maxPolicy},
		{"CapS", p.CapS, 0, maxPolicy},
		{"EngagedMS", p.EngagedMS, 0, maxPolicy},
		{"HeartbeatMS", p.HeartbeatMS, 1, maxPolicy},
		{"GapMS", p.GapMS, 1, maxPolicy},
		{"WaitMS", p.WaitMS, 1, maxPolicy},
		{"CloseMS", p.CloseMS, 1, maxPolicy},
		{"FastMS", p.FastMS, 0, maxPolicy},
		{"ClockAgeMS", p.ClockAgeMS, 0, keepMS},
	} {
		if f.v < f.lo || f.v > f.top {
			faults = append(faults, fmt.Errorf("%s: %d lies outside %d to %d", f.field, f.v, f.lo, f.top))
		}
	}
	if p.LargePx > 0 && (p.LargeShare < 1 || p.LargeShare > 1_000_000) {
		faults = append(faults, fmt.Errorf("LargeShare: %d lies outside 1 to 1000000", p.LargeShare))
	}
	return errors.Join(faults...)
}

// rules numbers the code that applies a policy; raise it when the same log gives another ledger.
const rules = 1

// Hash names policy and rules in ledger entries: 12 hex digits.
func (p Policy) Hash() string {
	sum := sha256.Sum256(fmt.Appendf(nil,
		"exposure/%d pixel_share=%d large_px=%d large_share=%d run_ms=%d video_run_ms=%d cap_s=%d focus=%t engaged_ms=%d h_ms=%d g_ms=%d w_ms=%d c_ms=%d fast_ms=%d clock_age_ms=%d",
		rules, p.PixelShare, p.LargePx, p.LargeShare, p.RunMS, p.VideoRunMS, p.CapS, p.FocusRequired, p.EngagedMS,
		p.HeartbeatMS, p.GapMS, p.WaitMS, p.CloseMS, p.FastMS, p.ClockAgeMS))
	return hex.EncodeToString(sum[:6])
}
