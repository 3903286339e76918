package engage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// bookOf is what is declared of audiences and traits.
func bookOf(t *turn) *audience.Book {
	if c := processors.Look(t, declared); c != nil {
		return &c.book
	}
	return &audience.Book{}
}

// profileOf is the profile's part of a row.
func profileOf(row *schemas.EngageRow) *schemas.ProfileState {
	if row.Profile == nil {
		row.Profile = &schemas.ProfileState{}
	}
	return row.Profile
}

// userOf is what is known of the turn's user now.
func userOf(t *turn) *audience.User {
	tenant, _ := schemas.SplitKey(t.Key)
	return bookOf(t).User(tenant, t.State.Profile, t.Now.UnixMilli())
}

// learn takes over what an identify call says: into the row what something reads, to the profiles all
// of it.
func learn(t *turn, e *schemas.Event) {
	if len(e.Traits) == 0 {
		return
	}
	over := profile.Learn(profileOf(t.State), e.Traits, bookOf(t).Wanted(e.Tenant))
	if profile.Empty(t.State.Profile) {
		t.State.Profile = nil
	}
	if len(over) > 0 {
		emit(t, &schemas.Verdict{Verdict: Overfull, EventId: e.Id, EventTimeMs: e.TimeMs}, "", &detail{
			Reason: "too many or too long traits: not kept " + strings.Join(over[:min(len(over), maxNamed)], ", "), Count: len(over), Max: profile.MaxTraits,
		})
	}
	processors.Emit(t, topics.Traits, t.Key, &schemas.TraitUpdate{
		Tenant: e.Tenant, User: e.User(), EventId: e.Id, TimeMs: t.Now.UnixMilli(), Traits: e.Traits,
	})
}

// maxNamed is how many traits a verdict names.
const maxNamed = 10

// compute takes an event into the computed traits that read it.
func compute(t *turn, e *schemas.Event, traits []*profile.Definition, props *predicate.Properties) {
	if len(traits) == 0 {
		return
	}
	p, now := profileOf(t.State), t.Now.UnixMilli()
	props.Of(bookOf(t).Said(e.Tenant, p))
	at := e.TimeMs
	if at > now+MaxAhead.Milliseconds() {
		at = now
	}
	fresh := len(p.Computed)
	for _, d := range traits {
		d.Compute(p, props, at, now)
	}
	if len(p.Computed) > fresh { // a good time to let go of those that are declared no more
		bookOf(t).Tidy(e.Tenant, p, now)
	}
	if profile.Empty(p) {
		t.State.Profile = nil
	}
}

// onMember puts the user into a version of an uploaded audience. One who was erased is in none, and
// neither is an id that somebody claimed: lists name users.
func onMember(t *turn, m *schemas.Member) {
	if err := checkMember(t.Key, m); err != nil {
		t.Same()
		refuse(t, "", err)
		return
	}
	if away(t.State) { // an erased user, or an id that is another user's
		t.Same()
		return
	}
	book := bookOf(t)
	if away(t.State) || m.Version < book.Current(m.Tenant, m.Audience) || profile.In(t.State.Profile, m.Audience, m.Version) {
		t.Same()
		return
	}
	defer watch(t)
	p := profileOf(t.State)
	if book.Audience(m.Tenant, m.Audience) != nil {
		book.Leave(m.Tenant, p)
	}
	profile.Join(p, m.Audience, m.Version)
}

// checkMember says why a membership cannot be this key's.
func checkMember(key string, m *schemas.Member) error {
	var faults []error
	if key != schemas.Key(m.Tenant, m.User) || !strings.Contains(key, "/") {
		faults = append(faults, fmt.Errorf("key: %q is not %q", key, schemas.Key(m.Tenant, m.User)))
	}
	if m.Audience == "" || len(m.Audience) > schemas.MaxNameBytes {
		faults = append(faults, fmt.Errorf("audience: a name of %d bytes, 1 to %d are taken", len(m.Audience), schemas.MaxNameBytes))
	}
	if m.Version <= 0 {
		faults = append(faults, fmt.Errorf("version: %d is not above 0", m.Version))
	}
	return errors.Join(faults...)
}

// The times at which AUDIENCE is decided.
const (
	atMatch = "match"
	atSend  = "send"
)

// outside is the AUDIENCE gate: it says why the user may not get the campaign now; nil: the user may. An
// audience of which nothing can be said keeps back, whether it is included or excluded.
func outside(t *turn, c *campaign.Campaign, check string) *detail {
	a := c.Audience
	if a == nil || check == atMatch && !a.Match || check == atSend && !a.Send {
		return nil
	}
	u := userOf(t)
	if len(a.Include) > 0 {
		within, reason := false, ""
		for _, name := range a.Include {
			in, why := u.In(name)
			within = within || in
			if why != "" {
				reason = name + ": " + why
			}
		}
		if !within {
			return fails(t, u, check, "include", reason, a.Include)
		}
	}
	for _, name := range a.Exclude {
		if in, why := u.In(name); in || why != "" {
			if why != "" {
				why = name + ": " + why
			}
			return fails(t, u, check, "exclude", why, []string{name})
		}
	}
	if !u.Matches(a.Where) {
		return &detail{Check: check, Failed: "where", Where: a.Where.String(), User: u.Fields(a.Where.UserFields())}
	}
	return nil
}

// fails tells of the audiences that decided, with their rules and what they read.
func fails(t *turn, u *audience.User, check, failed, reason string, names []string) *detail {
	d := &detail{Check: check, Failed: failed, Audience: strings.Join(names, ","), Reason: reason}
	tenant, _ := schemas.SplitKey(t.Key)
	book := bookOf(t)
	var fields []string
	for _, name := range names {
		switch a := book.Audience(tenant, name); {
		case a == nil:
		case a.List:
			d.ListVersion = max(d.ListVersion, book.Current(tenant, name))
		default:
			d.Where = strings.TrimPrefix(d.Where+" || "+a.Where.String(), " || ")
			fields = append(fields, a.Where.UserFields()...)
		}
	}
	if len(fields) > 0 {
		d.User = u.Fields(fields)
	}
	return d
}

// admits is AUDIENCE for a match.
func admits(t *turn, d *decision) bool {
	c := d.reader.campaign
	why := outside(t, c, atMatch)
	if why == nil {
		return true
	}
	why.Shadow = shadow(c)
	emit(t, matched(d, Outside), "", why)
	return false
}

// dismissed is AUDIENCE for a response that would go out now.
func dismissed(t *turn, m response) bool {
	why := outside(t, m.campaign, atSend)
	if why == nil {
		return false
	}
	m.emit(t, Outside, "", why)
	return true
}

// forgetProfile lets go of what nothing reads any more and says whether something is left that will be
// let go later: a list has a next version, a window an end.
func forgetProfile(t *turn) bool {
	tenant, _ := schemas.SplitKey(t.Key)
	bookOf(t).Tidy(tenant, t.State.Profile, t.Now.UnixMilli())
	if profile.Empty(t.State.Profile) {
		t.State.Profile = nil
	}
	return len(t.State.Profile.GetListIds())+len(t.State.Profile.GetComputed()) > 0
}
