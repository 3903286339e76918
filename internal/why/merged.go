package why

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/identity"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// maxMerged bounds the ids of one user that an answer looks into; each costs a partition of two topics.
const maxMerged = 64

// merged adds to the user's own records those of the ids that the user claimed, as if they had been the
// user's from the start, and returns the ids.
func merged(ctx context.Context, cluster kafka.Config, q Question, own []record) (all []record, ids []string, err error) {
	if len(own) == 0 {
		return nil, nil, nil
	}
	all = own
	seen := map[string]bool{q.User: true}
	asked := slices.Clone(own)
	for len(asked) > 0 {
		e := asked[0].event
		asked = asked[1:]
		for _, id := range identity.Claims(e) {
			if seen[id] || len(ids) == maxMerged {
				continue
			}
			seen[id] = true
			theirs, err := recordsOf(ctx, cluster, q, id)
			if err != nil {
				return nil, nil, err
			}
			if theirs, err = ownedBy(ctx, cluster, q.Tenant, id, e.UserId, theirs); err != nil {
				return nil, nil, err
			}
			if len(theirs) == 0 {
				continue
			}
			ids = append(ids, id)
			asked = append(asked, theirs...)
			for _, r := range theirs {
				if r, err = r.of(q.User, own[0].in); err != nil {
					return nil, nil, err
				}
				all = append(all, r)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b record) int { return cmp.Compare(a.ms, b.ms) })
	return all, ids, nil
}

// forgotten leaves of the records those that the Decider still knew, and says since when the user is
// erased; zero: is not, or was let come again. What was before since, Unix milliseconds, is forgotten.
func forgotten(records []record, verdicts []*schemas.Verdict) (left []record, since int64, gone time.Time) {
	for _, v := range verdicts {
		switch v.Verdict {
		case engage.Erased:
			since, gone = v.DecidedMs, time.UnixMilli(v.DecidedMs).UTC()
		case engage.Lifted:
			since, gone = v.DecidedMs, time.Time{}
		}
	}
	return slices.DeleteFunc(records, func(r record) bool { return since != 0 && (r.ms <= since || !gone.IsZero()) }), since, gone
}

// onCampaign are the verdicts on a campaign.
func onCampaign(verdicts []*schemas.Verdict, campaign string) []*schemas.Verdict {
	return slices.DeleteFunc(verdicts, func(v *schemas.Verdict) bool { return v.Campaign != campaign })
}

// identities says who else the user was, and whether the user was erased.
func identities(a *Answer, gone time.Time) []string {
	var all []string
	if len(a.Merged) > 0 {
		all = append(all, "Events of "+strings.Join(a.Merged, ", ")+" are the user's: an identify or alias call said so. They are shown as if they had been from the start.")
	}
	if i := slices.IndexFunc(a.Merged, func(id string) bool { return !schemas.IsAnonymous(id) }); i >= 0 && len(a.Lists) > 0 {
		all = append(all, fmt.Sprintf("Whether %s was in a list before, and brought it along, is not looked into.", a.Merged[i]))
	}
	if !gone.IsZero() {
		all = append(all, fmt.Sprintf("The user was erased at %s: nothing of before is known, and what comes is SUPPRESSED until that is lifted.", stamp(gone)))
	}
	return all
}

// of is the record as if it had been a user's, stepped in that user's partition.
func (r record) of(user string, partition int32) (record, error) {
	e := &schemas.Event{
		Id: r.id(), Tenant: r.event.Tenant, UserId: user, Type: r.event.Type, Name: r.event.Name, TimeMs: r.event.TimeMs, ReceivedMs: r.event.ReceivedMs,
		Properties: r.event.Properties, Traits: r.event.Traits,
	}
	b, err := topics.Events.Codec.Append(nil, e)
	if err != nil {
		return r, fmt.Errorf("event at %s: %w", r.at, err)
	}
	return record{at: r.at, ms: r.ms, value: b, event: e, in: partition, as: r.event.User()}, nil
}

// ownedBy leaves of an id's records those that are of one of the users that claimed it: what came before
// the first claim is of the first who claimed it, what came later of who claimed it last by then.
func ownedBy(ctx context.Context, cluster kafka.Config, tenant, id, user string, records []record) ([]record, error) {
	type claim struct {
		ms    int64
		owner string
	}
	var claims []claim
	key := schemas.Key(tenant, id)
	err := kafka.ReadRange(ctx, cluster, topics.Identities.Spec, kafka.Range{Key: key}, func(e kafka.Entry) error {
		if e.Key != key {
			return nil
		}
		m, err := topics.Identities.Codec.Decode(e.Value)
		if err != nil {
			return fmt.Errorf("message at %s: %w", e.At, err)
		}
		if m.Claim != nil {
			claims = append(claims, claim{e.Time.UnixMilli(), m.Claim.Owner})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(records, func(r record) bool {
		owner := user
		for i, c := range claims {
			if i == 0 || c.ms <= r.ms {
				owner = c.owner
			}
		}
		return owner != user
	}), nil
}
