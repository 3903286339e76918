package declare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// historyKind is added to the kind under which each version is kept for good, beside the one in force.
// It makes no kind that a worker knows, older ones neither.
const historyKind = "Version"

// MaxVersions is how many versions of a campaign stay readable; the oldest make room.
const MaxVersions = 100

// ErrUnknown says that a tenant has no campaign of a name, and never had.
var ErrUnknown = errors.New("no such campaign; dwell get campaigns shows what there is")

// Version is one declaration of a campaign and when it was made.
type Version struct {
	*schemas.Declaration
	// Deleted says that the campaign was taken away then; there is no source.
	Deleted bool
}

// Applied is when the version came into force, UTC.
func (v Version) Applied() time.Time { return time.UnixMilli(v.AppliedMs).UTC() }

// Campaign is the version's campaign, parsed; nil when it was deleted.
func (v Version) Campaign() (*campaign.Campaign, error) {
	if v.Deleted {
		return nil, nil
	}
	all, err := campaign.Parse(cmp.Or(v.File, v.Name), v.Source)
	if err != nil {
		return nil, fmt.Errorf("version %s of campaign %s: %w", v.Version, v.Name, err)
	}
	for _, c := range all {
		if c.Name == v.Name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("version %s of campaign %s: its source holds no campaign of that name", v.Version, v.Name)
}

// All are the declarations of a tenant in force, by name.
func All(ctx context.Context, cluster kafka.Config, tenant string) ([]Version, error) {
	return AllOf(ctx, cluster, engage.Kind, tenant)
}

// AllOf is All for a kind: Campaign, Audience or Trait.
func AllOf(ctx context.Context, cluster kafka.Config, kind, tenant string) ([]Version, error) {
	now, err := current(ctx, cluster)
	var all []Version
	for k, d := range now {
		if strings.HasPrefix(k, keyOf(kind, tenant, "")) {
			all = append(all, Version{Declaration: d})
		}
	}
	slices.SortFunc(all, func(a, b Version) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}

// Profiles are the versions of all traits, audiences and lists of a tenant, oldest first.
func Profiles(ctx context.Context, cluster kafka.Config, tenant string) ([]Version, error) {
	now, err := current(ctx, cluster)
	var all []Version
	for k, d := range now {
		kind, _, _ := strings.Cut(k, "/")
		if d.Tenant == tenant && strings.HasSuffix(kind, historyKind) && kind != engage.Kind+historyKind {
			all = append(all, Version{d, len(d.Source) == 0})
		}
	}
	slices.SortFunc(all, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.AppliedMs, b.AppliedMs), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all, err
}

// History are the versions of a campaign, oldest first; inForce is the one that decides now, nil when
// the campaign was deleted. What was never there is ErrUnknown.
func History(ctx context.Context, cluster kafka.Config, tenant, name string) (all []Version, inForce *Version, err error) {
	return HistoryOf(ctx, cluster, engage.Kind, tenant, name)
}

// HistoryOf is History for a kind: Campaign, Audience or Trait.
func HistoryOf(ctx context.Context, cluster kafka.Config, kind, tenant, name string) (all []Version, inForce *Version, err error) {
	now, err := current(ctx, cluster)
	if err != nil {
		return nil, nil, err
	}
	return historyIn(now, kind, tenant, name)
}

// historyIn is HistoryOf in a snapshot.
func historyIn(now map[string]*schemas.Declaration, kind, tenant, name string) (all []Version, inForce *Version, err error) {
	for _, k := range historyKeys(now, kind, tenant, name) {
		all = append(all, Version{now[k], len(now[k].Source) == 0})
	}
	d := now[keyOf(kind, tenant, name)]
	switch {
	case d == nil && len(all) == 0:
		return nil, nil, unknown(kind, tenant, name)
	case d == nil:
		return all, nil, nil
	}
	v := Version{Declaration: d}
	if n := len(all); n == 0 || all[n-1].Version != d.Version { // published by something older than histories
		all = append(all, v)
	}
	return all, &v, nil
}

// unknown says that there is no declaration of a name.
func unknown(kind, tenant, name string) error {
	if kind == engage.Kind {
		return fmt.Errorf("tenant %s, campaign %q: %w", tenant, name, ErrUnknown)
	}
	what := strings.ToLower(kind)
	return fmt.Errorf("tenant %s has no %s %q; dwell get %ss shows what there is", tenant, what, name, what)
}

// historyKeys are the versions of a declaration in a snapshot, oldest first.
func historyKeys(now map[string]*schemas.Declaration, kind, tenant, name string) []string {
	var keys []string
	for k := range now {
		if strings.HasPrefix(k, kind+historyKind+"/"+tenant+"/"+name+"@") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// historyKey sorts by time: a name holds no @, and the milliseconds have 13 digits until 2286.
func historyKey(d *schemas.Declaration) string {
	return fmt.Sprintf("%s/%s/%s@%013d-%s", cmp.Or(d.Kind, engage.Kind)+historyKind, d.Tenant, d.Name, d.AppliedMs, d.Version)
}

// publisher writes declarations and their history.
type publisher struct {
	out *kafka.Emitter[*schemas.Declaration]
	now map[string]*schemas.Declaration
}

func newPublisher(ctx context.Context, cluster kafka.Config) (*publisher, error) {
	now, err := current(ctx, cluster)
	if err != nil {
		return nil, err
	}
	out, err := kafka.NewEmitter(cluster, "dwell-apply", topics.Declarations)
	if err != nil {
		return nil, err
	}
	return &publisher{out, now}, nil
}

// publish puts a declaration in force; a nil source takes it away. Versions are ordered by their
// times, so a clock that lags behind the last one's is put right.
func (p *publisher) publish(ctx context.Context, d *schemas.Declaration) error {
	main := keyOf(d.Kind, d.Tenant, d.Name)
	keys := historyKeys(p.now, d.Kind, d.Tenant, d.Name)
	if before := p.now[main]; before != nil && len(keys) == 0 { // published by something older than histories
		if err := p.remember(ctx, before); err != nil {
			return err
		}
		keys = []string{historyKey(before)}
	}
	if n := len(keys); n > 0 {
		d.AppliedMs = max(d.AppliedMs, p.now[keys[n-1]].AppliedMs+1)
	}
	if d.Source == nil {
		if err := p.remove(ctx, main); err != nil {
			return err
		}
	} else if err := p.out.EmitSync(ctx, main, d); err != nil {
		return err
	}
	if err := p.remember(ctx, d); err != nil {
		return fmt.Errorf("it is in force, but its version was not kept: %w", err)
	}
	keys = append(keys, historyKey(d))
	for _, old := range keys[:max(0, len(keys)-MaxVersions)] {
		if err := p.remove(ctx, old); err != nil {
			return err
		}
		delete(p.now, old)
	}
	return nil
}

// remember keeps a version for good.
func (p *publisher) remember(ctx context.Context, d *schemas.Declaration) error {
	if err := p.out.EmitSync(ctx, historyKey(d), d); err != nil {
		return err
	}
	p.now[historyKey(d)] = d
	return nil
}

func (p *publisher) remove(ctx context.Context, key string) error {
	done := make(chan error, 1)
	if err := p.out.Delete(key, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("delete %s: %w", key, context.Cause(ctx))
	}
}

// Put publishes one declaration that is no file of its own, such as the version of a list that is
// current, and keeps it as a version. check sees what is in force, nil for nothing, and may refuse.
func Put(ctx context.Context, cluster kafka.Config, d *schemas.Declaration, check func(now *schemas.Declaration) error) error {
	p, err := newPublisher(ctx, cluster)
	if err != nil {
		return err
	}
	if err := check(p.now[keyOf(d.Kind, d.Tenant, d.Name)]); err != nil {
		return errors.Join(err, p.out.Close())
	}
	if err := p.publish(ctx, d); err != nil {
		return errors.Join(fmt.Errorf("declare %s %s: %w", strings.ToLower(d.Kind), d.Name, err), p.out.Close())
	}
	return p.out.Close()
}
