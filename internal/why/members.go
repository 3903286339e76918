package why

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/internal/audience"
	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
	book "github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Membership says whether the user was in an uploaded audience at some time.
type Membership struct {
	Audience string `json:"audience"`
	// Version of the list that was current then; 0: none was.
	Version int64 `json:"version"`
	// In is nil where it cannot be known.
	In *bool `json:"in"`
	// Why it cannot be known, or why nobody is in it.
	Why string `json:"why,omitempty"`
}

// membership is one record of the user, or of an id that the user claimed, in the members' log.
type membership struct {
	at    schemas.Coordinates
	ms    int64
	of    *schemas.Member
	value []byte
}

// memberships are what can be known of the lists that a user is, or was, in.
type memberships struct {
	// all of them by time: those that the log has, and those that only the user's row has still, at the
	// time at which their version became current.
	all []membership
	// user is who is asked about; ids are the others that were, or became, the user.
	user string
	ids  []alias
	// reachMS is how far back the log goes in an id's partition, Unix milliseconds; 0: nothing of it is gone.
	reachMS map[string]int64
	// row is what the workers keep of the user now, nil for nothing; hasRow: it says who is in what. versions
	// are those that are current now, and since the row forgets others only of these it tells.
	row      *schemas.ProfileState
	hasRow   bool
	versions map[string]int64
	// full are the lists of which the oldest versions are not kept any more.
	full map[string]bool
}

// membershipsOf reads what can be known of a user, where the campaign ever named a list. It reads, whole, the
// user's partition of the workers' table and of the members' log, and of the latter that of each other id.
func membershipsOf(ctx context.Context, cluster kafka.Config, q Question, ids []alias, versions, known []declare.Version) (*memberships, error) {
	m := newMemberships(q.User, ids, known)
	if !namesList(versions, m.versions) {
		return m, nil
	}
	row, err := audience.Row(ctx, cluster, schemas.Key(q.Tenant, q.User))
	if err != nil {
		return nil, err
	}
	m.row, m.hasRow = row.GetProfile(), row.GetIdentity().GetOwner() == "" && row.GetIdentity().GetSuppressedMs() == 0
	ends, err := kafka.Ends(ctx, cluster, topics.Members.Spec)
	if err != nil {
		return nil, err
	}
	for _, id := range append([]alias{{id: q.User}}, ids...) {
		if err := m.read(ctx, cluster, q.Tenant, id, ends); err != nil {
			return nil, err
		}
	}
	return m, m.fromRow(q, known)
}

// read reads the memberships of one id, as long as it was the user's.
func (m *memberships) read(ctx context.Context, cluster kafka.Config, tenant string, id alias, ends map[int32]int64) error {
	key := schemas.Key(tenant, id.id)
	if len(ends) > 0 && ends[kafka.PartitionOf(key, int32(len(ends)))] > 0 {
		m.reachMS[id.id] = time.Now().UnixMilli() // unless a record shows otherwise, all of it is gone
	}
	first := true
	return kafka.ReadRange(ctx, cluster, topics.Members.Spec, kafka.Range{Key: key}, func(e kafka.Entry) error {
		if first {
			first, m.reachMS[id.id] = false, e.Time.UnixMilli()
			if e.At.Offset == 0 {
				m.reachMS[id.id] = 0
			}
		}
		if e.Key != key || !id.owned(e.Time.UnixMilli()) {
			return nil
		}
		if of, err := topics.Members.Codec.Decode(e.Value); err == nil { // else it is in the dead letters
			m.all = append(m.all, membership{e.At, e.Time.UnixMilli(), of, slices.Clone(e.Value)})
		}
		return nil
	})
}

// newMemberships knows what was declared, and of no member.
func newMemberships(user string, ids []alias, known []declare.Version) *memberships {
	m := &memberships{user: user, ids: ids, reachMS: map[string]int64{}, versions: map[string]int64{}, full: map[string]bool{}}
	kept := map[string]int{}
	for _, v := range known {
		if v.Kind != book.ListKind {
			continue
		}
		if kept[v.Name]++; kept[v.Name] >= declare.MaxVersions {
			m.full[v.Name] = true
		}
		if n, err := strconv.ParseInt(v.Version, 10, 64); err == nil {
			m.versions[v.Name] = max(m.versions[v.Name], n)
		}
	}
	return m
}

// namesList says whether a version of the campaign goes by an audience that was ever loaded.
func namesList(versions []declare.Version, lists map[string]int64) bool {
	return slices.ContainsFunc(versions, func(v declare.Version) bool {
		c, err := v.Campaign()
		if err != nil || c == nil {
			return false // it was in force nowhere
		}
		return slices.ContainsFunc(audiencesOf(c), func(name string) bool { return lists[name] != 0 })
	})
}

// audiencesOf are the audiences that a campaign, nil for none, names.
func audiencesOf(c *campaign.Campaign) []string {
	if c == nil || c.Audience == nil {
		return nil
	}
	return slices.Concat(c.Audience.Include, c.Audience.Exclude)
}

// fromRow adds the memberships whose records the log has no more, and the user's row has still. Where another id
// may have brought one along, it counts from that id's claim on.
func (m *memberships) fromRow(q Question, known []declare.Version) error {
	for _, v := range known {
		version, err := strconv.ParseInt(v.Version, 10, 64)
		if v.Kind != book.ListKind || err != nil || m.logged(v.Name, version) || !m.hasRow || !profile.In(m.row, v.Name, version) {
			continue
		}
		of := &schemas.Member{Tenant: q.Tenant, User: q.User, Audience: v.Name, Version: version}
		value, err := topics.Members.Codec.Append(nil, of)
		if err != nil {
			return fmt.Errorf("member of %s: %w", v.Name, err)
		}
		m.all = append(m.all, membership{schemas.Coordinates{Topic: topics.Members.Name}, m.fromMS(v.AppliedMs, version), of, value})
	}
	slices.SortStableFunc(m.all, func(a, b membership) int { return cmp.Compare(a.ms, b.ms) })
	return nil
}

// fromMS is since when the user's row surely has a version that the log has no more.
func (m *memberships) fromMS(appliedMS, version int64) int64 {
	for _, id := range m.ids {
		if m.reachMS[id.id] > version {
			appliedMS = max(appliedMS, id.ms)
		}
	}
	return appliedMS
}

func (m *memberships) logged(name string, version int64) bool {
	return slices.ContainsFunc(m.all, func(r membership) bool { return r.of.Audience == name && r.of.Version == version })
}

// forget leaves out what the Decider forgot when the user was erased, and what it does not take since, where
// gone is not zero.
func (m *memberships) forget(sinceMS int64, gone time.Time) {
	m.all = slices.DeleteFunc(m.all, func(r membership) bool { return r.ms <= sinceMS || !gone.IsZero() })
}

// in says how an id of the user stood to an audience when a version of its list was current, 0 for none. has says
// that the id's row, stepped to that time, has the version.
func (m *memberships) in(a *campaign.Audience, name string, version int64, has bool, id string) Membership {
	yes, no := true, false
	s := Membership{Audience: name, Version: version}
	reach := m.reach(id)
	switch {
	case a == nil:
		s.In, s.Why = &no, "no audience of that name was declared then"
	case version == 0 && m.full[name]:
		s.Why = fmt.Sprintf("only the last %d versions of a list stay readable, and all of them are newer", declare.MaxVersions)
	case version == 0:
		s.In, s.Why = &no, "it was not loaded by then"
	case has:
		s.In = &yes
	case reach <= version, m.hasRow && m.versions[name] == version && !profile.In(m.row, name, version): // a version is the time when its load began
		s.In = &no
	default:
		s.Why = fmt.Sprintf("version %d was loaded at %s, the log of members begins at %s, and the user's row keeps newer versions only",
			version, stamp(time.UnixMilli(version)), stamp(time.UnixMilli(reach)))
	}
	return s
}

// reach is how far back the log goes of all that the row of an id may have had, Unix milliseconds.
func (m *memberships) reach(id string) int64 {
	ms := m.reachMS[id]
	for _, other := range m.ids { // of other ids all may have met in it
		ms = max(ms, m.reachMS[other.id])
	}
	return ms
}

// listed tells how the user stood to the campaign's lists, at the matches that were seen and now.
func (a *Answer) listed(seen []Seen) []string {
	var all []string
	for _, m := range a.Lists {
		all = append(all, m.sentence(a.At))
	}
	unknown := 0
	for _, s := range seen {
		if slices.ContainsFunc(s.Lists, func(m Membership) bool { return m.In == nil }) {
			unknown++
		}
	}
	if unknown > 0 {
		all = append(all, fmt.Sprintf("Of %d matches it cannot be known whether the user was in a list of the campaign then.", unknown))
	}
	return all
}

// sentence tells a membership.
func (s Membership) sentence(at time.Time) string {
	switch {
	case s.In == nil:
		return fmt.Sprintf("Whether the user was in the list %s at %s cannot be known: %s. The steps shown here take it that the user was not; what the gate said is in the verdicts.", s.Audience, stamp(at), s.Why)
	case s.Why != "":
		return fmt.Sprintf("At %s the gate AUDIENCE kept everybody back because of %s: %s.", stamp(at), s.Audience, s.Why)
	case *s.In:
		return fmt.Sprintf("At %s the user was in the list %s (version %d).", stamp(at), s.Audience, s.Version)
	}
	return fmt.Sprintf("At %s the user was not in the list %s (version %d).", stamp(at), s.Audience, s.Version)
}
