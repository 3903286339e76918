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
)

// maxMerged bounds the ids of one user that an answer looks into; each costs a partition of up to four topics.
const maxMerged = 64

// alias is another id of the user, and what is the user's of what came under it.
type alias struct {
	id string
	// owner is who claimed it: the user, or another id of the user's. claims are all that there were.
	owner  string
	claims claims
	// ms is the time of the call by which owner claimed it, Unix milliseconds.
	ms int64
	// records that came under it.
	records int
}

// owned says whether what came at a time is the user's.
func (a alias) owned(ms int64) bool {
	owner, known := a.claims.owner(ms)
	return !known || owner == a.owner
}

// merged adds to the user's own records those of the ids that the user claimed, and returns the ids.
func merged(ctx context.Context, cluster kafka.Config, q Question, own []record) (all []record, ids []alias, err error) {
	all = own
	seen := map[string]bool{q.User: true}
	asked := slices.Clone(own)
	for len(asked) > 0 {
		r := asked[0]
		asked = asked[1:]
		for _, id := range identity.Claims(r.event) {
			if seen[id] || len(ids) == maxMerged {
				continue
			}
			seen[id] = true
			a := alias{id: id, owner: r.event.UserId, ms: r.ms}
			theirs, err := recordsOf(ctx, cluster, q, id)
			if err != nil {
				return nil, nil, err
			}
			if a.claims, err = claimsOf(ctx, cluster, q.Tenant, id); err != nil {
				return nil, nil, err
			}
			theirs = slices.DeleteFunc(theirs, func(r record) bool { return !a.owned(r.ms) })
			for i := range theirs {
				theirs[i].as = id
			}
			a.records = len(theirs)
			ids = append(ids, a)
			asked, all = append(asked, theirs...), append(all, theirs...)
		}
	}
	slices.SortStableFunc(all, func(a, b record) int { return cmp.Compare(a.ms, b.ms) })
	return all, ids, nil
}

// forgotten leaves of the records those that the Decider still knew, and says since when the user is
// erased; zero: is not, or was let come again. What was before since, Unix milliseconds, is forgotten.
func forgotten(user string, records []record, verdicts []*schemas.Verdict) (left []record, since int64, gone time.Time) {
	for _, v := range verdicts {
		switch {
		case v.User != user:
		case v.Verdict == engage.Erased:
			since, gone = v.DecidedMs, time.UnixMilli(v.DecidedMs).UTC()
		case v.Verdict == engage.Lifted:
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
		all = append(all, "Events of "+strings.Join(a.Merged, ", ")+" are the user's: an identify or alias call said so. Until then they were decided under those ids, with what was known of them.")
	}
	if !gone.IsZero() {
		all = append(all, fmt.Sprintf("The user was erased at %s: nothing of before is known, and what comes is SUPPRESSED until that is lifted.", stamp(gone)))
	}
	return all
}
