package why

import (
	"context"
	"fmt"
	"time"

	"github.com/dwellhq/dwell/internal/audience"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage/identity"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// claim says whose an id is from a time on, Unix milliseconds; an empty owner: nobody's any more.
type claim struct {
	ms    int64
	owner string
}

// claims of one id, by time.
type claims []claim

// owner of what came under the id at a time: what came before the first claim is of the first who claimed it,
// what came later of who claimed it last by then. Not known: nobody ever claimed it.
func (c claims) owner(ms int64) (owner string, known bool) {
	for i, one := range c {
		if i == 0 || one.ms <= ms {
			owner, known = one.owner, true
		}
	}
	return owner, known
}

// claimsOf are the claims of an id in the log.
func claimsOf(ctx context.Context, cluster kafka.Config, tenant, id string) (all claims, err error) {
	key := schemas.Key(tenant, id)
	err = kafka.ReadRange(ctx, cluster, topics.Identities.Spec, kafka.Range{Key: key}, func(e kafka.Entry) error {
		if e.Key != key {
			return nil
		}
		m, err := topics.Identities.Codec.Decode(e.Value)
		if err != nil {
			return fmt.Errorf("message at %s: %w", e.At, err)
		}
		now := ""
		if n := len(all); n > 0 {
			now = all[n-1].owner
		}
		switch {
		case m.Claim != nil:
			all = append(all, claim{e.Time.UnixMilli(), m.Claim.Owner})
		case m.Erase != nil && !m.Erase.Lift && now != "" && (m.Erase.Owner == now || m.Erase.Owner == ""):
			all = append(all, claim{e.Time.UnixMilli(), ""}) // the owner, or the id itself, was erased
		}
		return nil
	})
	return all, err
}

// owned is whose an id is.
type owned struct {
	user string
	// since is when the id became the user's; zero: it is the user's own, or nobody knows any more.
	since time.Time
	// before is who had claimed it before, the first of them; empty: nobody.
	before string
}

// ownerOf follows the claims of the id that was asked about to the user whose it was at that time.
func ownerOf(ctx context.Context, cluster kafka.Config, q Question) (owned, error) {
	who := owned{user: q.User}
	for range identity.MaxHops {
		all, err := claimsOf(ctx, cluster, q.Tenant, who.user)
		if err != nil {
			return who, err
		}
		owner := ""
		switch at := q.At.UnixMilli(); {
		case len(all) > 0 && all[0].ms > at: // it was claimed later
		case len(all) > 0:
			owner, _ = all.owner(at)
		case schemas.IsAnonymous(who.user): // its claim may be older than the log
			row, err := audience.Row(ctx, cluster, schemas.Key(q.Tenant, who.user))
			if err != nil {
				return who, err
			}
			owner = row.GetIdentity().GetOwner()
		}
		if owner == "" || owner == who.user {
			return who, nil
		}
		who = owned{user: owner}
		for i, c := range all {
			if c.ms <= q.At.UnixMilli() && c.owner == owner && (i == 0 || all[i-1].owner != owner) {
				who.since = time.UnixMilli(c.ms).UTC()
			}
		}
		if len(all) > 0 && all[0].owner != owner {
			who.before = all[0].owner
		}
	}
	return who, nil
}

// sentence tells whose the id is that was asked about.
func (o owned) sentence(asked string) string {
	s := fmt.Sprintf("%s is %s: the answer is that user's.", asked, o.user)
	if !o.since.IsZero() {
		s = fmt.Sprintf("%s is %s since %s, when a call said so: the answer is that user's.", asked, o.user, stamp(o.since))
	}
	if o.before != "" {
		s += fmt.Sprintf(" What came under it before its first claim is %s's.", o.before)
	}
	return s
}
