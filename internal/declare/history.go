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

// historyKind is the kind under which each version is kept for good, beside the one in force. It is
// no kind that a worker knows, older ones neither.
const historyKind = engage.Kind + "Version"

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
	now, err := current(ctx, cluster)
	var all []Version
	for k, d := range now {
		if strings.HasPrefix(k, key(tenant, "")) {
			all = append(all, Version{Declaration: d})
		}
	}
	slices.SortFunc(all, func(a, b Version) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}

// History are the versions of a campaign, oldest first; inForce is the one that decides now, nil when
// the campaign was deleted. What was never there is ErrUnknown.
func History(ctx context.Context, cluster kafka.Config, tenant, name string) (all []Version, inForce *Version, err error) {
	now, err := current(ctx, cluster)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range historyKeys(now, tenant, name) {
		all = append(all, Version{now[k], len(now[k].Source) == 0})
	}
	d := now[key(tenant, name)]
	switch {
	case d == nil && len(all) == 0:
		return nil, nil, fmt.Errorf("tenant %s, campaign %q: %w", tenant, name, ErrUnknown)
	case d == nil:
		return all, nil, nil
	}
	v := Version{Declaration: d}
	if n := len(all); n == 0 || all[n-1].Version != d.Version { // published by something older than histories
		all = append(all, v)
	}
	return all, &v, nil
}

// historyKeys are a campaign's versions in a snapshot, oldest first.
func historyKeys(now map[string]*schemas.Declaration, tenant, name string) []string {
	var keys []string
	for k := range now {
		if strings.HasPrefix(k, historyKind+"/"+tenant+"/"+name+"@") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// historyKey sorts by time: a name holds no @, and the milliseconds have 13 digits until 2286.
func historyKey(d *schemas.Declaration) string {
	return fmt.Sprintf("%s/%s/%s@%013d-%s", historyKind, d.Tenant, d.Name, d.AppliedMs, d.Version)
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
	main := key(d.Tenant, d.Name)
	keys := historyKeys(p.now, d.Tenant, d.Name)
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
