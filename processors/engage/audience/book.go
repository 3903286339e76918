// Package audience knows who belongs where: declarations of audiences and traits go in, and for a
// user's profile comes out what is known under a name and which audiences the user is in.
package audience

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/processors/engage/tree"
	"github.com/dwellhq/dwell/schemas"
)

// ListKind is the kind of the declaration that makes a version of an uploaded audience current: its
// Version is that version, a decimal number. One that is lower than what is current changes nothing.
const ListKind = "List"

// Book holds the audiences and traits of every tenant. It is never changed: a declaration makes another
// one. The zero value is empty.
type Book struct {
	audiences tree.Tree[*campaign.Audience]    // by tenant and name
	lists     tree.Tree[int64]                 // by tenant and name: the version that is current
	ids       tree.Tree[string]                // by tenant and list id: the name
	traits    tree.Tree[*campaign.Trait]       // by tenant and name
	computed  tree.Tree[*profile.Definition]   // by tenant and definition
	events    tree.Tree[[]*profile.Definition] // by tenant and event
	wants     tree.Tree[int]                   // by tenant and name: how many read what identify says
	faults    tree.Tree[Fault]                 // by tenant and kind/name
}

// Fault is a declaration that is not in force because it is faulty; the version before it is.
type Fault struct {
	Tenant, Kind, Name string
	// Version of the faulty declaration, InForce that which decides instead; empty: none.
	Version, InForce string
	Err              error
}

// Fold returns the book after one declaration; mine is false when its kind is none of the book's.
func (b Book) Fold(kind, tenant, name string, d *schemas.Declaration, deleted bool) (next Book, mine bool) {
	switch {
	case strings.EqualFold(kind, ListKind):
		return b.list(tenant, name, d, deleted), true
	case strings.EqualFold(kind, campaign.AudienceKind), strings.EqualFold(kind, campaign.TraitKind):
	default:
		return b, false
	}
	isTrait := strings.EqualFold(kind, campaign.TraitKind)
	b.faults = b.faults.Without(tenant, strings.ToLower(kind)+"/"+name)
	var file *campaign.File
	if !deleted {
		var err error
		if file, err = read(tenant, name, d, isTrait); err != nil {
			b.faults = b.faults.With(tenant, strings.ToLower(kind)+"/"+name, Fault{tenant, kind, name, d.Version, b.version(tenant, name, isTrait), err})
			return b, true
		}
	}
	if isTrait {
		b = b.trait(tenant, name, file)
	} else {
		b = b.audience(tenant, name, file)
	}
	return b, true
}

// read parses a declaration; what it declares is the only thing in the file that is returned.
func read(tenant, name string, d *schemas.Declaration, isTrait bool) (*campaign.File, error) {
	what := "audience"
	if isTrait {
		what = "trait"
	}
	if d.Tenant != "" && d.Tenant != tenant || d.Name != "" && d.Name != name {
		return nil, fmt.Errorf("declare %s %s of %s: the record is of %s of %s", what, name, tenant, d.Name, d.Tenant)
	}
	all, err := campaign.ParseFile(cmp.Or(d.File, name), d.Source)
	if err != nil {
		return nil, fmt.Errorf("declare %s %s of %s: %w", what, name, tenant, err)
	}
	f := &campaign.File{}
	for _, t := range all.Traits {
		if isTrait && t.Name == name {
			f.Traits = append(f.Traits, t)
		}
	}
	for _, a := range all.Audiences {
		if !isTrait && a.Name == name {
			f.Audiences = append(f.Audiences, a)
		}
	}
	if len(f.Traits)+len(f.Audiences) == 0 {
		return nil, fmt.Errorf("declare %s %s of %s: the source holds no %s of that name", what, name, tenant, what)
	}
	return f, nil
}

func (b Book) version(tenant, name string, isTrait bool) string {
	if t, ok := b.traits.Get(tenant, name); ok && isTrait {
		return t.Version
	}
	if a, ok := b.audiences.Get(tenant, name); ok && !isTrait {
		return a.Version
	}
	return ""
}

// trait puts a trait in place of the one before; a nil file takes it away.
func (b Book) trait(tenant, name string, file *campaign.File) Book {
	if old, ok := b.traits.Get(tenant, name); ok {
		b = b.Want(tenant, old.UserFields(), -1)
		if d := old.Computed; d != nil {
			all, _ := b.events.Get(tenant, d.Event)
			b.events = b.events.With(tenant, d.Event, slices.DeleteFunc(slices.Clone(all), func(o *profile.Definition) bool { return o == d }))
			b.computed = b.computed.Without(tenant, id(d.ID))
		}
	}
	if file == nil {
		b.traits = b.traits.Without(tenant, name)
		return b
	}
	t := file.Traits[0]
	b.traits = b.traits.With(tenant, name, t)
	b = b.Want(tenant, t.UserFields(), 1)
	if d := t.Computed; d != nil {
		all, _ := b.events.Get(tenant, d.Event)
		all = append(slices.Clone(all), d)
		slices.SortFunc(all, func(a, b *profile.Definition) int { return cmp.Compare(a.Name, b.Name) })
		b.events = b.events.With(tenant, d.Event, all)
		b.computed = b.computed.With(tenant, id(d.ID), d)
	}
	return b
}

// audience puts an audience in place of the one before; a nil file takes it away.
func (b Book) audience(tenant, name string, file *campaign.File) Book {
	if old, ok := b.audiences.Get(tenant, name); ok {
		b = b.Want(tenant, old.Where.UserFields(), -1)
	}
	if file == nil {
		b.audiences = b.audiences.Without(tenant, name)
		b.ids = b.ids.Without(tenant, id(profile.ListID(name)))
		return b
	}
	a := file.Audiences[0]
	b.audiences = b.audiences.With(tenant, name, a)
	b.ids = b.ids.With(tenant, id(profile.ListID(name)), name)
	return b.Want(tenant, a.Where.UserFields(), 1)
}

// list makes a version current.
func (b Book) list(tenant, name string, d *schemas.Declaration, deleted bool) Book {
	if deleted {
		b.lists = b.lists.Without(tenant, name)
		return b
	}
	current, _ := b.lists.Get(tenant, name)
	if v, err := strconv.ParseInt(d.Version, 10, 64); err == nil && v > current {
		b.lists = b.lists.With(tenant, name, v)
	}
	return b
}

// Want counts those who read what identify says under the names: by is 1 for one more, -1 for one less.
func (b Book) Want(tenant string, names []string, by int) Book {
	for _, name := range names {
		n, _ := b.wants.Get(tenant, name)
		if n += by; n > 0 {
			b.wants = b.wants.With(tenant, name, n)
		} else {
			b.wants = b.wants.Without(tenant, name)
		}
	}
	return b
}

// Wanted says which traits of identify calls rows keep.
func (b Book) Wanted(tenant string) func(name string) bool {
	return func(name string) bool {
		_, ok := b.wants.Get(tenant, name)
		return ok
	}
}

// Computing are the computed traits that read an event, by name.
func (b Book) Computing(tenant, event string) []*profile.Definition {
	all, _ := b.events.Get(tenant, event)
	return all
}

// Audience under a name; nil: none.
func (b Book) Audience(tenant, name string) *campaign.Audience {
	a, _ := b.audiences.Get(tenant, name)
	return a
}

// Current is the version of an uploaded audience that counts; 0: it was never loaded.
func (b Book) Current(tenant, name string) int64 {
	v, _ := b.lists.Get(tenant, name)
	return v
}

// Faults are the declarations that are not in force, in no order.
func (b Book) Faults() (all []Fault) {
	b.faults.Each(func(_, _ string, f Fault) { all = append(all, f) })
	return all
}

// Tidy drops from a profile, nil for none, what nothing can read any more: versions of lists below the
// current one, lists and computed traits that are declared no more, what left a window, and what
// nobody wants of identify.
func (b Book) Tidy(tenant string, p *schemas.ProfileState, nowMS int64) {
	if p == nil {
		return
	}
	b.Leave(tenant, p)
	profile.Unlearn(p, b.Wanted(tenant))
	profile.Rest(p, func(def uint64) *profile.Definition {
		d, _ := b.computed.Get(tenant, id(def))
		return d
	}, nowMS)
}

// Leave drops the versions of lists below the current ones.
func (b Book) Leave(tenant string, p *schemas.ProfileState) {
	profile.Leave(p, func(list uint64) int64 {
		name, ok := b.ids.Get(tenant, id(list))
		if !ok {
			return math.MaxInt64
		}
		return b.Current(tenant, name)
	})
}

// id is a number as a key.
func id(n uint64) string { return strconv.FormatUint(n, 36) }
