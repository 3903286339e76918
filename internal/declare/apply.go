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
	// What: created, changed, unchanged.
	What string
}

// Read parses and checks every .yaml and .yml file of a path, a file or a folder. All faults of all
// files are reported at once.
func Read(path string) ([]*campaign.Campaign, error) {
	files, err := list(path)
	if err != nil {
		return nil, err
	}
	var (
		all    []*campaign.Campaign
		faults []error
		from   = map[string]string{}
	)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			faults = append(faults, fmt.Errorf("read a declaration: %w", err))
			continue
		}
		found, err := Parse(f, b)
		if err != nil {
			faults = append(faults, err)
		}
		for _, c := range found {
			if other, dup := from[c.Name]; dup {
				faults = append(faults, fmt.Errorf("%s: campaign %q is declared in %s too; give one another name", f, c.Name, other))
			}
			from[c.Name] = f
		}
		all = append(all, found...)
	}
	return all, errors.Join(faults...)
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

// Apply publishes the campaigns of a tenant that differ from what is there, unless dryRun is set, and
// returns what it did, or would do.
func Apply(ctx context.Context, cluster kafka.Config, tenant string, campaigns []*campaign.Campaign, dryRun bool) ([]Change, error) {
	now, err := current(ctx, cluster)
	if err != nil {
		return nil, err
	}
	out, err := kafka.NewEmitter(cluster, "dwell-apply", topics.Declarations)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, c := range campaigns {
		ch := Change{Kind: engage.Kind, Name: c.Name, Version: c.Version, What: "created"}
		if old, ok := now[key(tenant, c.Name)]; ok {
			ch.What = "changed"
			if old.Version == c.Version {
				ch.What = "unchanged"
			}
		}
		changes = append(changes, ch)
		if dryRun || ch.What == "unchanged" {
			continue
		}
		d := &schemas.Declaration{
			Kind: ch.Kind, Tenant: tenant, Name: c.Name, Version: c.Version, Source: c.Source, AppliedMs: time.Now().UnixMilli(), File: filepath.Base(c.File),
		}
		if err := out.EmitSync(ctx, key(tenant, c.Name), d); err != nil {
			return changes, errors.Join(fmt.Errorf("apply %s: %w", c.Name, err), out.Close())
		}
	}
	return changes, out.Close()
}

func key(tenant, name string) string { return engage.Kind + "/" + tenant + "/" + name }

// current is what is declared now, by key.
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
