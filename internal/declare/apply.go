// Package declare publishes what marketers and operators write in files, and waits until every
// worker has it.
package declare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Change is one declaration and what applying it does.
type Change struct {
	Kind, Name, Version string
	// What is Created, Changed or Unchanged.
	What string
	// Before is what was in force; nil: nothing.
	Before *schemas.Declaration
}

// What applying a declaration does.
const (
	Created   = "created"
	Changed   = "changed"
	Unchanged = "unchanged"
)

// Read is ReadAll for the campaigns alone.
func Read(path string) ([]*campaign.Campaign, error) {
	f, err := ReadAll(path)
	return f.Campaigns, err
}

// ReadAll parses and checks every .yaml and .yml file of a path, a file or a folder. All faults of all
// files are reported at once.
func ReadAll(path string) (campaign.File, error) {
	var (
		all    campaign.File
		faults []error
		from   = map[string]string{}
	)
	files, err := list(path)
	if err != nil {
		return all, err
	}
	once := func(file, kind, name string) {
		if other, dup := from[kind+"/"+name]; dup {
			faults = append(faults, fmt.Errorf("%s: %s %q is declared in %s too; give one another name", file, kind, name, other))
		}
		from[kind+"/"+name] = file
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			faults = append(faults, fmt.Errorf("read a declaration: %w", err))
			continue
		}
		found, err := campaign.ParseFile(f, b)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, d := range Documents(*found) {
			once(f, strings.ToLower(d.Kind), d.Name)
		}
		all.Campaigns = append(all.Campaigns, found.Campaigns...)
		all.Audiences = append(all.Audiences, found.Audiences...)
		all.Traits = append(all.Traits, found.Traits...)
	}
	return all, errors.Join(faults...)
}

// Document is one document of a file.
type Document struct {
	Kind, Name, Version, File string
	Source                    []byte
	// Campaign it declares; nil for another kind.
	Campaign *campaign.Campaign
}

// Documents of a file in the order in which they are applied: traits, audiences, and campaigns last,
// which read those.
func Documents(f campaign.File) []Document {
	var all []Document
	for _, t := range f.Traits {
		all = append(all, Document{campaign.TraitKind, t.Name, t.Version, t.File, t.Source, nil})
	}
	for _, a := range f.Audiences {
		all = append(all, Document{campaign.AudienceKind, a.Name, a.Version, a.File, a.Source, nil})
	}
	for _, c := range f.Campaigns {
		all = append(all, Document{engage.Kind, c.Name, c.Version, c.File, c.Source, c})
	}
	return all
}

// Parse checks one file.
func Parse(file string, source []byte) ([]*campaign.Campaign, error) {
	return campaign.Parse(file, source)
}

func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find the declarations: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(p); err == nil && !d.IsDir() && (ext == ".yaml" || ext == ".yml") {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no .yaml file", path)
	}
	slices.Sort(files)
	return files, nil
}

// Apply is ApplyAll for campaigns.
func Apply(ctx context.Context, cluster kafka.Config, tenant string, campaigns []*campaign.Campaign, dryRun bool) ([]Change, error) {
	return ApplyAll(ctx, cluster, tenant, Documents(campaign.File{Campaigns: campaigns}), dryRun)
}

// ApplyAll publishes the documents of a tenant that differ from what is there, unless dryRun is set, and
// returns what it did, or would do. A campaign that would make a move that is not allowed stops all
// of them: nothing is published then.
func ApplyAll(ctx context.Context, cluster kafka.Config, tenant string, docs []Document, dryRun bool) ([]Change, error) {
	p, err := newPublisher(ctx, cluster)
	if err != nil {
		return nil, err
	}
	changes, err := p.plan(tenant, docs)
	if err != nil || dryRun {
		return changes, errors.Join(err, p.out.Close())
	}
	for i, c := range docs {
		if changes[i].What == Unchanged {
			continue
		}
		d := &schemas.Declaration{
			Kind: c.Kind, Tenant: tenant, Name: c.Name, Version: c.Version, Source: c.Source, AppliedMs: time.Now().UnixMilli(), File: filepath.Base(c.File),
		}
		if err := p.publish(ctx, d); err != nil {
			return changes[:i], errors.Join(fmt.Errorf("apply %s: %w", c.Name, err), p.out.Close())
		}
	}
	return changes, p.out.Close()
}

// plan says what applying would change; its error joins every move that is not allowed.
func (p *publisher) plan(tenant string, docs []Document) ([]Change, error) {
	var changes []Change
	var faults []error
	for _, c := range docs {
		ch := Change{Kind: c.Kind, Name: c.Name, Version: c.Version, What: Created}
		if old, ok := p.now[keyOf(c.Kind, tenant, c.Name)]; ok {
			ch.What, ch.Before = Changed, old
			if old.Version == c.Version {
				ch.What = Unchanged
			}
			if c.Campaign != nil {
				faults = append(faults, mayFollow(old, c.Campaign))
			}
		}
		changes = append(changes, ch)
	}
	return changes, errors.Join(faults...)
}

// mayFollow checks the campaign's move. A version that cannot be read is in force nowhere: anything may
// follow it.
func mayFollow(old *schemas.Declaration, c *campaign.Campaign) error {
	was, err := (Version{Declaration: old}).Campaign()
	if err != nil {
		return nil //nolint:nilerr // as said
	}
	return CheckMove(c.Name, was.State, c.State)
}

// Delete takes a campaign away: no worker decides by it any more, and users' progress with it ends.
// Its versions stay readable. It returns the version that was in force.
func Delete(ctx context.Context, cluster kafka.Config, tenant, name string) (version string, err error) {
	return DeleteKind(ctx, cluster, engage.Kind, tenant, name)
}

// DeleteKind is Delete for a declaration of any kind: Campaign, Audience or Trait.
func DeleteKind(ctx context.Context, cluster kafka.Config, kind, tenant, name string) (version string, err error) {
	p, err := newPublisher(ctx, cluster)
	if err != nil {
		return "", err
	}
	old := p.now[keyOf(kind, tenant, name)]
	if old == nil {
		return "", errors.Join(unknown(kind, tenant, name), p.out.Close())
	}
	d := &schemas.Declaration{Kind: kind, Tenant: tenant, Name: name, AppliedMs: time.Now().UnixMilli()}
	if err := p.publish(ctx, d); err != nil {
		return "", errors.Join(fmt.Errorf("delete %s: %w", name, err), p.out.Close())
	}
	return old.Version, p.out.Close()
}

// Move publishes the campaign that is in force with another state, and nothing else changed.
func Move(ctx context.Context, cluster kafka.Config, tenant, name string, to campaign.State) (Change, error) {
	_, now, err := History(ctx, cluster, tenant, name)
	if err != nil {
		return Change{}, err
	}
	if now == nil {
		return Change{}, fmt.Errorf("tenant %s: campaign %q was deleted; apply its file to have it again", tenant, name)
	}
	c, err := now.Campaign()
	if err != nil {
		return Change{}, err
	}
	if err := CheckMove(name, c.State, to); err != nil {
		return Change{}, err
	}
	next, err := WithState(c, to)
	if err != nil {
		return Change{}, err
	}
	changes, err := Apply(ctx, cluster, tenant, []*campaign.Campaign{next}, false)
	if err != nil || len(changes) == 0 {
		return Change{}, err
	}
	return changes[0], nil
}

func keyOf(kind, tenant, name string) string { return kind + "/" + tenant + "/" + name }

// current is what is declared now, by key, with every version that is kept.
func current(ctx context.Context, cluster kafka.Config) (map[string]*schemas.Declaration, error) {
	now := map[string]*schemas.Declaration{}
	err := kafka.Snapshot(ctx, cluster, topics.Declarations.Spec, func(e kafka.Entry) {
		delete(now, e.Key)
		if d, err := topics.Declarations.Codec.Decode(e.Value); err == nil && e.Value != nil {
			now[e.Key] = d
		}
	})
	return now, err
}
