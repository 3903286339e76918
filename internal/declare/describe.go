package declare

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
)

// Description is what is known of one audience or trait.
type Description struct {
	// Versions are all that are kept, oldest first; InForce is the one that counts, nil when it was deleted.
	Versions []Version
	InForce  *Version
	// Readers are the declarations in force that read it, campaigns first, then by name.
	Readers []Reader
	// Loads are the versions of an uploaded audience's list that are kept, oldest first; the last one is current.
	Loads []Version
}

// Reader is a declaration that reads an audience or a trait.
type Reader struct {
	Kind, Name string
	// As says how: include or exclude for an audience, where for a trait.
	As string
	// State of a campaign; empty for another kind.
	State string
}

// Describe says all that is declared about an audience or a trait; kind is campaign.AudienceKind or
// campaign.TraitKind. What was never there is an error.
func Describe(ctx context.Context, cluster kafka.Config, kind, tenant, name string) (*Description, error) {
	now, err := current(ctx, cluster)
	if err != nil {
		return nil, err
	}
	d := &Description{}
	if d.Versions, d.InForce, err = historyIn(now, kind, tenant, name); err != nil {
		return nil, err
	}
	if kind == campaign.AudienceKind {
		d.Loads, _, _ = historyIn(now, audience.ListKind, tenant, name) // the error is that there is none
	}
	d.Readers = readers(now, kind, tenant, name)
	return d, nil
}

// readers of an audience or trait. A declaration that cannot be parsed is in force nowhere and reads nothing.
func readers(now map[string]*schemas.Declaration, kind, tenant, name string) []Reader {
	computed := kind == campaign.TraitKind && isComputed(now[keyOf(kind, tenant, name)])
	var all []Reader
	for key, d := range now {
		k, rest, _ := strings.Cut(key, "/")
		if of, _, _ := strings.Cut(rest, "/"); of != tenant || k != campaign.CampaignKind && k != campaign.AudienceKind && k != campaign.TraitKind {
			continue
		}
		f, err := campaign.ParseFile(cmp.Or(d.File, d.Name), d.Source)
		if err != nil {
			continue
		}
		add := func(reads bool, as, reader, state string) {
			if reads && reader == d.Name {
				all = append(all, Reader{k, reader, as, state})
			}
		}
		for _, c := range f.Campaigns {
			if kind == campaign.TraitKind {
				add(slices.Contains(c.UserFields(), name), "where", c.Name, string(c.State))
			} else if c.Audience != nil {
				add(slices.Contains(c.Audience.Include, name), "include", c.Name, string(c.State))
				add(slices.Contains(c.Audience.Exclude, name), "exclude", c.Name, string(c.State))
			}
		}
		for _, a := range f.Audiences {
			add(kind == campaign.TraitKind && slices.Contains(a.Where.UserFields(), name), "where", a.Name, "")
		}
		for _, t := range f.Traits { // a trait sees what identify says, and no computed trait
			add(kind == campaign.TraitKind && !computed && t.Computed != nil && slices.Contains(t.UserFields(), name), "where", t.Name, "")
		}
	}
	order := []string{campaign.CampaignKind, campaign.AudienceKind, campaign.TraitKind}
	slices.SortFunc(all, func(a, b Reader) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// isComputed says whether a trait, nil for none, comes of events.
func isComputed(d *schemas.Declaration) bool {
	if d == nil {
		return false
	}
	f, err := campaign.ParseFile(cmp.Or(d.File, d.Name), d.Source)
	return err == nil && slices.ContainsFunc(f.Traits, func(t *campaign.Trait) bool { return t.Name == d.Name && t.Computed != nil })
}

// Pick is the version to show: the one that is asked for, else the one in force, else the last.
func (d *Description) Pick(version string) (Version, error) {
	if version == "" {
		if d.InForce != nil {
			return *d.InForce, nil
		}
		return d.Versions[len(d.Versions)-1], nil
	}
	for i := len(d.Versions) - 1; i >= 0; i-- {
		if d.Versions[i].Version == version {
			return d.Versions[i], nil
		}
	}
	return Version{}, fmt.Errorf("%s has no version %s; without --of-version all of them are listed", d.Versions[0].Name, version)
}
