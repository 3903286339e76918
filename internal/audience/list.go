package audience

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	book "github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Audience is an audience as it is declared.
type Audience struct {
	Name string `json:"name"`
	// Uploaded: members are loaded; else Where decides.
	Uploaded bool   `json:"uploaded"`
	Where    string `json:"where,omitempty"`
	// Current is what is loaded; its Version is 0 when nothing ever was.
	Current List `json:"current,omitzero"`
	// Version of the file, and a fault that keeps it from being in force.
	Version string `json:"version"`
	Fault   string `json:"fault,omitempty"`
}

// Lists are the audiences of a tenant, by name.
func Lists(ctx context.Context, cluster kafka.Config, tenant string) ([]Audience, error) {
	declared, err := declare.AllOf(ctx, cluster, campaign.AudienceKind, tenant)
	lists, listErr := declare.AllOf(ctx, cluster, book.ListKind, tenant)
	if err := errors.Join(err, listErr); err != nil {
		return nil, err
	}
	var all []Audience
	for _, d := range declared {
		a := Audience{Name: d.Name, Version: d.Version}
		f, err := campaign.ParseFile(cmp.Or(d.File, d.Name), d.Source)
		if err != nil {
			a.Fault = err.Error()
		} else {
			for _, c := range f.Audiences {
				if c.Name == d.Name {
					a.Uploaded, a.Where = c.List, c.Where.String()
				}
			}
		}
		if i := slices.IndexFunc(lists, func(l declare.Version) bool { return l.Name == d.Name }); i >= 0 {
			if err := json.Unmarshal(lists[i].Source, &a.Current); err != nil {
				return nil, fmt.Errorf("list %s of tenant %s: %w", d.Name, tenant, err)
			}
		}
		all = append(all, a)
	}
	return all, nil
}

// Drop empties an uploaded audience for all users at once: an empty version becomes current, and rows
// forget the members of the one before when they are touched, or within a week. It returns that version.
func Drop(ctx context.Context, cluster kafka.Config, tenant, name string) (*List, error) {
	l := Load{Cluster: cluster, Tenant: tenant, Name: name}
	now, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	if now == 0 {
		return nil, fmt.Errorf("audience %s of tenant %s was never loaded", name, tenant)
	}
	list := &List{Version: max(time.Now().UnixMilli(), now+1), File: "dropped", Loaded: time.Now().UTC()}
	return list, l.publish(ctx, list)
}

// Standing says whether a user is in an audience now, by what the workers have committed.
type Standing struct {
	User     string `json:"user"`
	Audience string `json:"audience"`
	In       bool   `json:"in"`
	// Why it cannot be said: there is no such audience, or it was never loaded.
	Why string `json:"why,omitempty"`
	// Known is what is known of the user under the names that the rule reads.
	Known map[string]any `json:"known,omitempty"`
}

// Show says how a user stands to an audience. It reads the partition of the workers' table in which the
// user's row lies.
func Show(ctx context.Context, cluster kafka.Config, tenant, name, user string, now time.Time) (*Standing, error) {
	var b book.Book
	err := kafka.Snapshot(ctx, cluster, topics.Declarations.Spec, func(e kafka.Entry) {
		kind, rest, _ := strings.Cut(e.Key, "/")
		of, named, _ := strings.Cut(rest, "/")
		d, err := topics.Declarations.Codec.Decode(e.Value)
		if of == tenant && (err == nil || e.Value == nil) {
			b, _ = b.Fold(kind, of, named, d, e.Value == nil)
		}
	})
	if err != nil {
		return nil, err
	}
	row, err := Row(ctx, cluster, schemas.Key(tenant, user))
	if err != nil {
		return nil, err
	}
	u := b.User(tenant, row.GetProfile(), now.UnixMilli())
	s := &Standing{User: user, Audience: name}
	s.In, s.Why = u.In(name)
	if a := b.Audience(tenant, name); a != nil {
		s.Known = u.Fields(a.Where.UserFields())
	}
	return s, nil
}

// Row is a user's row in the workers' table, by its key tenant/user; nil: none. It reads the partition in
// which it lies.
func Row(ctx context.Context, cluster kafka.Config, key string) (*schemas.EngageRow, error) {
	var row *schemas.EngageRow
	table := topics.Table(engage.Processor.Name, engage.Processor.MaxRowBytes)
	err := kafka.ReadRange(ctx, cluster, table, kafka.Range{Key: key}, func(e kafka.Entry) error {
		if e.Key != key {
			return nil
		}
		row = nil
		if e.Value == nil {
			return nil
		}
		decoded, err := engage.Processor.DecodeRow(slices.Clone(e.Value))
		if err != nil {
			return fmt.Errorf("row of %s: %w", key, err)
		}
		row = processors.State[schemas.EngageRow](decoded)
		return nil
	})
	return row, err
}
