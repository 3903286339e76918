package gate

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// The scopes of a Cap. TagScope is followed by a tag's name.
const (
	CampaignScope = "campaign"
	ChannelScope  = "channel"
	GlobalScope   = "global"
	TagScope      = "tag:"
)

// Limits of caps.
const (
	// MaxCap is the most responses that a Cap may allow.
	MaxCap = 100
	// MaxSpends is how many spends a row keeps; beyond it the oldest are let go.
	MaxSpends = 1024
	// RecentSpends is how many spends of the last RecentFor are kept even where no cap looks, so that
	// a new cap does not begin blind.
	RecentSpends = 16
	RecentFor    = 7 * 24 * time.Hour
)

// Cap allows Max responses to one user in any span of Per: of the campaign, of its channel, of all
// campaigns with a tag, or of all. The span is sliding and half-open: at t it holds (t-Per, t].
type Cap struct {
	// Scope is CampaignScope, ChannelScope, GlobalScope, or TagScope and a tag.
	Scope string
	// Max is from 1 to MaxCap.
	Max int
	Per time.Duration
}

// The kinds of a spend. What nobody saw counts against its own campaign only, so that a campaign
// decides alike for the users in and out of its control group and no other campaign is held back.
const (
	SpentSent    = 0
	SpentControl = 1
	// SpentShadow counts while the campaign is in shadow.
	SpentShadow = 2
)

// Subject is who asks whether a cap allows one more.
type Subject struct {
	Campaign, Channel string
	Tags              []string
	Shadow            bool
}

// Scopes are hashes of everything that a response of the subject counts against, its campaign first.
func (s Subject) Scopes() []uint64 {
	all := []uint64{scope(CampaignScope, s.Campaign), scope(GlobalScope, ""), scope(ChannelScope, s.Channel)}
	for _, tag := range s.Tags {
		all = append(all, scope(TagScope, tag))
	}
	return all
}

// Key is the hash of what a cap of the subject looks at.
func (c Cap) Key(s Subject) uint64 {
	switch c.Scope {
	case CampaignScope:
		return scope(CampaignScope, s.Campaign)
	case ChannelScope:
		return scope(ChannelScope, s.Channel)
	case GlobalScope:
		return scope(GlobalScope, "")
	}
	return scope(TagScope, strings.TrimPrefix(c.Scope, TagScope))
}

// scope is the same everywhere and for ever: rows remember it.
func scope(kind, name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(kind))
	h.Write([]byte{0xff}) // in no text
	h.Write([]byte(name))
	return h.Sum64()
}

// Full says how many responses the cap counts at a time, and until when it allows no more; 0: it
// allows one. spends are by time, none after nowMS.
func (c Cap) Full(spends []*schemas.Spend, s Subject, nowMS int64) (count int, untilMS int64) {
	key, own, per := c.Key(s), scope(CampaignScope, s.Campaign), c.Per.Milliseconds()
	for _, sp := range slices.Backward(spends) {
		if sp.AtMs <= nowMS-per {
			break
		}
		if !slices.Contains(sp.Scopes, key) || !counts(sp, own, s.Shadow) {
			continue
		}
		if count++; count == c.Max {
			untilMS = sp.AtMs + per
		}
	}
	return count, untilMS
}

// counts says whether a spend counts for a campaign.
func counts(sp *schemas.Spend, own uint64, shadow bool) bool {
	switch {
	case sp.Released:
		return false
	case sp.Kind == SpentSent:
		return true
	case sp.Scopes[0] != own:
		return false
	}
	return sp.Kind == SpentControl || shadow
}

// Reach is how far back the caps of a scope look: at most Max spends, none older than Per.
type Reach struct {
	Max int
	Per time.Duration
}

// class tells spends apart that count for different campaigns.
type class struct {
	scope, own uint64
	kind       uint32
}

// Spend adds a spend, the newest, and lets go of what no cap looks at: reach says how far the caps of
// a scope look, the zero Reach for none.
func Spend(spends []*schemas.Spend, sp *schemas.Spend, reach func(scope uint64) Reach) []*schemas.Spend {
	return Prune(append(spends, sp), sp.AtMs, reach)
}

// Prune lets go of the spends that no cap looks at: those with enough newer ones that will stay. One
// that may still be released makes no older one needless.
func Prune(spends []*schemas.Spend, nowMS int64, reach func(scope uint64) Reach) []*schemas.Spend {
	stay := map[class]int{}
	keep := make([]bool, len(spends))
	for i, sp := range slices.Backward(spends) {
		n := len(spends) - i
		keep[i] = n <= RecentSpends && sp.AtMs > nowMS-RecentFor.Milliseconds()
		for _, s := range sp.Scopes {
			k := class{scope: s, kind: sp.Kind}
			if sp.Kind != SpentSent {
				k.own = sp.Scopes[0]
			}
			if r := reach(s); !sp.Released && stay[k] < r.Max && sp.AtMs > nowMS-r.Per.Milliseconds() {
				keep[i] = true
			}
			if sp.Shown || sp.Action == 0 {
				stay[k]++
			}
		}
		keep[i] = keep[i] && n <= MaxSpends
	}
	kept := spends[:0]
	for i, sp := range spends {
		if keep[i] {
			kept = append(kept, sp)
		}
	}
	clear(spends[len(kept):])
	return kept
}

// Shown notes that a channel took the action, so that its spend stays even if a later answer is that
// it failed.
func Shown(spends []*schemas.Spend, action uint64) {
	for _, sp := range spends {
		if action != 0 && sp.Action == action {
			sp.Shown, sp.Released = true, false
		}
	}
}

// Took says that Shown was told of the action.
func Took(spends []*schemas.Spend, action uint64) bool {
	return slices.ContainsFunc(spends, func(sp *schemas.Spend) bool { return action != 0 && sp.Action == action && sp.Shown })
}

// Release gives back the spend of an action that was not sent after all. Shown takes that back while
// the spend is remembered: for the newest RecentSpends.
func Release(spends []*schemas.Spend, action uint64) {
	for _, sp := range spends {
		if action != 0 && sp.Action == action && !sp.Shown {
			sp.Released = true
		}
	}
}
