// Package gate holds the gates between a match and its response that need more than the match: quiet
// hours, caps and experiments. A time, a user and what a row remembers go in; a verdict with its
// numbers comes out. It reads no clock; times are Unix milliseconds unless their type says otherwise.
package gate

import (
	"fmt"

	"github.com/dwellhq/dwell/schemas"
)

// Limits of what a row remembers.
const (
	// MaxPending is how many responses of one user wait at a time; one more is cancelled.
	MaxPending = 32
	// MaxPendingIDs is how many event ids a waiting response keeps, the newest of its match.
	MaxPendingIDs = 32
	// MaxAwaited is how many matches wait for a conversion at a time; the oldest make room.
	MaxAwaited = 32
)

// Check says why no step can have left this state; nil is a good one.
func Check(s *schemas.GateState) error {
	if s == nil {
		return nil
	}
	if len(s.Pending) > MaxPending || len(s.Awaited) > MaxAwaited || len(s.Spends) > MaxSpends || len(s.Zone) > MaxZoneBytes {
		return fmt.Errorf("%d pending, %d awaited and %d spent are more than a row keeps", len(s.Pending), len(s.Awaited), len(s.Spends))
	}
	for i, p := range s.Pending {
		if p.MatchId == "" || p.DueMs <= 0 || len(p.EventIds) > MaxPendingIDs {
			return fmt.Errorf("pending response %d: match %q of %d events due at %d", i, p.MatchId, len(p.EventIds), p.DueMs)
		}
	}
	for i, sp := range s.Spends {
		if len(sp.Scopes) == 0 || sp.Kind > SpentShadow || i > 0 && s.Spends[i-1].AtMs > sp.AtMs {
			return fmt.Errorf("spend %d: at %d, of kind %d with %d scopes", i, sp.AtMs, sp.Kind, len(sp.Scopes))
		}
	}
	return nil
}
