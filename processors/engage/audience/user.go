package audience

import (
	"math"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
)

// User is what is known of one user at one time. It implements predicate.User and belongs to one
// goroutine.
type User struct {
	book   *Book
	tenant string
	state  *schemas.ProfileState
	nowMS  int64
	said   bool
}

// User of a tenant with a profile, nil for none, at a time in Unix milliseconds.
func (b *Book) User(tenant string, p *schemas.ProfileState, nowMS int64) *User {
	return &User{book: b, tenant: tenant, state: p, nowMS: nowMS}
}

// Said is User without computed traits: those may not be computed of each other.
func (b *Book) Said(tenant string, p *schemas.ProfileState) *User {
	return &User{book: b, tenant: tenant, state: p, said: true}
}

// Field implements predicate.User. A computed trait hides what identify says under its name.
func (u *User) Field(name string) (any, bool) {
	if !u.said {
		if t, ok := u.book.traits.Get(u.tenant, name); ok && t.Computed != nil {
			return t.Computed.Value(u.state, u.nowMS)
		}
	}
	return profile.Said(u.state, name)
}

// Matches says whether a condition is true of the user.
func (u *User) Matches(p predicate.Predicate) bool {
	return p.Matches(predicate.NewProperties(nil).Of(u))
}

// In says whether the user is in an audience; why is set where that cannot be said: there is no such
// audience, or its list was never loaded.
func (u *User) In(name string) (in bool, why string) {
	a := u.book.Audience(u.tenant, name)
	switch {
	case a == nil:
		return false, "not declared"
	case !a.List:
		return u.Matches(a.Where), ""
	}
	v := u.book.Current(u.tenant, name)
	if v == 0 {
		return false, "never loaded"
	}
	return profile.In(u.state, name, v), ""
}

// Fields are what is known under the names, as JSON can say it; what is not known is left out.
func (u *User) Fields(names []string) map[string]any {
	known := map[string]any{}
	for _, name := range names {
		v, ok := u.Field(name)
		if f, float := v.(float64); ok && (!float || !math.IsInf(f, 0) && !math.IsNaN(f)) && plain(v) {
			known[name] = v
		}
	}
	return known
}

// plain says that a value is no list and no mapping.
func plain(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return false
	}
	return true
}
