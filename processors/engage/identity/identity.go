// Package identity says who is one user: which ids a call claims, what an anonymous row remembers for
// whoever claims it, and how two rows become one. Rows and events go in, changed rows come out; it
// reads no clock and sends nothing.
package identity

import (
	"fmt"
	"slices"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// Limits of what a row knows of identities.
const (
	// MaxRemembered is how many events an anonymous row remembers, and MaxRememberedBytes how many bytes
	// of them; the oldest make room.
	MaxRemembered      = 64
	MaxRememberedBytes = 64 << 10
	// MaxClaimed is how many ids of one user are known; the one claimed first makes room. Its pointer
	// goes on to work, and ends with disuse.
	MaxClaimed = 256
	// MaxHops is how many pointers a record follows. Beyond it they go in a circle, which the row that
	// has the record then ends.
	MaxHops = 16
	// PointerFor is how long a pointer stays without use, by record time; it is renewed once in
	// PointerRenew at most.
	PointerFor   = 400 * 24 * time.Hour
	PointerRenew = 30 * 24 * time.Hour
)

// Claims are the ids, as users, that a call says to be its user: the anonymous id of an identify call;
// that and the previous id of an alias call, which may be an anonymous id or another user's. Other calls,
// and calls without a user id, claim none.
func Claims(e *schemas.Event) []string {
	if e.UserId == "" {
		return nil
	}
	var ids []string
	add := func(id string) {
		if id != "" && id != e.UserId && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch e.Type {
	case "identify":
		add(schemas.AnonymousUser(e.AnonymousId))
	case "alias":
		add(schemas.AnonymousUser(e.AnonymousId))
		add(schemas.AnonymousUser(e.PreviousId))
		if !schemas.IsAnonymous(e.PreviousId) {
			add(e.PreviousId)
		}
	}
	return ids
}

// Of is the identities' part of a row, new if need be.
func Of(row *schemas.EngageRow) *schemas.IdentityState {
	if row.Identity == nil {
		row.Identity = &schemas.IdentityState{}
	}
	return row.Identity
}

// Claim notes that an id points to the row.
func Claim(row *schemas.EngageRow, id string) {
	s := Of(row)
	if slices.Contains(s.Claimed, id) {
		return
	}
	s.Claimed = append(s.Claimed, id)
	s.Claimed = s.Claimed[max(0, len(s.Claimed)-MaxClaimed):]
}

// Remember keeps an event of an anonymous user. Those that no campaign can make anything of any more,
// at the time of the newest, are let go.
func Remember(row *schemas.EngageRow, e *schemas.RememberedEvent) {
	s := Of(row)
	s.Remembered = append(s.Remembered, e)
	newest := int64(0)
	for _, r := range s.Remembered {
		newest = max(newest, r.TimeMs)
	}
	s.Remembered = slices.DeleteFunc(s.Remembered, func(r *schemas.RememberedEvent) bool { return r.UntilMs < newest })
	size, from := 0, len(s.Remembered)
	for from > 0 && len(s.Remembered)-from < MaxRemembered {
		if size += sizeOf(s.Remembered[from-1]); size > MaxRememberedBytes {
			break
		}
		from--
	}
	s.Remembered = slices.Delete(s.Remembered, 0, from)
}

func sizeOf(e *schemas.RememberedEvent) int {
	return len(e.Id) + len(e.Name) + len(e.Properties) + 32
}

// Idle lets go of what an idle row needs no more, and says whether pointers to it are left.
func Idle(row *schemas.EngageRow) bool {
	if s := row.Identity; s != nil {
		if s.Remembered = nil; len(s.Claimed) == 0 && s.Owner == "" && s.SuppressedMs == 0 {
			row.Identity = nil
		}
	}
	return row.Identity != nil
}

// Check says why no step can have left this state; nil is a good one.
func Check(row *schemas.EngageRow) error {
	s := row.Identity
	if s == nil {
		return nil
	}
	if len(s.Remembered) > MaxRemembered || len(s.Claimed) > MaxClaimed {
		return fmt.Errorf("%d events remembered and %d ids claimed are more than a row keeps", len(s.Remembered), len(s.Claimed))
	}
	whole := row.Profile == nil && len(row.RecentIds)+len(row.Triggers)+len(s.Remembered)+len(s.Claimed) == 0 && row.Gates == nil
	if (s.Owner != "" || s.SuppressedMs != 0) && !whole || s.Owner != "" && s.SuppressedMs != 0 {
		return fmt.Errorf("a pointer to %q, or an erased user, holds something else", s.Owner)
	}
	return nil
}
