package engage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/internal/seedtest"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
)

func declaration(source string) *schemas.Declaration {
	return &schemas.Declaration{Version: "0123456789ab", Source: []byte(source), File: "a.yaml"}
}

// names are the campaigns that read an event, in order.
func names(c *Catalog, tenant, event string) (all []string) {
	for _, r := range c.reading(tenant, event) {
		all = append(all, r.campaign.Name+"@"+r.campaign.Version[:4])
	}
	return all
}

func TestAFaultyDeclarationKeepsTheVersionBefore(t *testing.T) {
	good := hot(t)
	c := fold(nil, "campaign/demo/hot", declaration(good), false)
	before := c.Campaign("demo", "hot")
	if before == nil || len(c.Faults()) > 0 {
		t.Fatalf("campaign %v, faults %v", before, c.Faults())
	}
	for what, d := range map[string]*schemas.Declaration{
		"must be a list":           declaration(strings.Replace(good, "count:", "sequence:", 1)),
		"no campaign of that name": declaration(strings.Replace(good, "name: hot", "name: cold", 1)),
		"the record is of":         {Tenant: "other", Source: []byte(good)},
		"holds no campaign":        {},
	} {
		next := fold(c, "Campaign/demo/hot", d, false)
		f := next.Faults()
		if len(f) != 1 || f[0].Tenant != "demo" || f[0].Name != "hot" || f[0].InForce != before.Version || f[0].Version != d.Version || !strings.Contains(f[0].Err.Error(), what) {
			t.Errorf("%s: faults are %+v", what, f)
		}
		if next.Campaign("demo", "hot") != before || len(names(next, "demo", "bet")) != 1 {
			t.Errorf("%s: the version before is not in force", what)
		}
		mended := fold(next, "Campaign/demo/hot", declaration(good), false)
		if len(mended.Faults()) > 0 {
			t.Errorf("%s: still faulty: %v", what, mended.Faults())
		}
		if gone := fold(next, "Campaign/demo/hot", nil, true); len(gone.Faults()) > 0 || gone.Campaign("demo", "hot") != nil || gone.reading("demo", "bet") != nil {
			t.Errorf("%s: a tombstone leaves something", what)
		}
	}
	first := fold(nil, "Campaign/demo/hot", declaration("a: 1"), false)
	var fault *campaign.Fault
	if f := first.Faults(); len(f) != 1 || f[0].InForce != "" || !errors.As(f[0].Err, &fault) || fault.File != "a.yaml" || fault.Line != 1 {
		t.Errorf("faults are %+v", f)
	}
	if len(c.Faults()) > 0 {
		t.Error("a fold changed the view it was given")
	}
}

func TestOtherDeclarationsAreNoneOfTheCatalogsBusiness(t *testing.T) {
	for _, key := range []string{"Link/demo/hot", "Campaign", "Campaign/demo", "", "Links/demo/hot"} {
		if c := fold(nil, key, declaration(hot(t)), false); c != nil {
			t.Errorf("%s made %+v", key, c)
		}
	}
	var none *Catalog
	if none.Campaign("a", "b") != nil || none.Faults() != nil || none.reading("a", "b") != nil {
		t.Error("no catalog is not empty")
	}
}

func TestACampaignMovesWithItsEventsAndPriority(t *testing.T) {
	c := fold(nil, "Campaign/demo/a", declaration(hot(t, "name: hot", "name: a")), false)
	c = fold(c, "Campaign/demo/b", declaration(hot(t, "name: hot", "name: b")), false)
	if got := names(c, "demo", "bet"); len(got) != 2 || got[0][0] != 'a' {
		t.Errorf("read by %v", got)
	}
	raised := fold(c, "Campaign/demo/b", declaration(hot(t, "name: hot", "name: b", "priority: 20", "priority: 21")), false)
	if got := names(raised, "demo", "bet"); len(got) != 2 || got[0][0] != 'b' {
		t.Errorf("read by %v", got)
	}
	moved := fold(raised, "Campaign/demo/b", declaration(hot(t, "name: hot", "name: b", "event: bet, where: 'event.result == \"win\"'", "event: page")), false)
	if got := names(moved, "demo", "page"); len(got) != 1 || got[0][0] != 'b' {
		t.Errorf("read by %v", got)
	}
	if got := moved.reading("demo", "bet"); len(got) != 2 || len(got[1].steps) != 0 || len(got[1].resets) != 1 {
		t.Errorf("read by %+v", got) // b's reset is still a bet
	}
	if got := names(c, "demo", "bet"); len(got) != 2 || got[0][0] != 'a' {
		t.Errorf("the first view became %v", got)
	}
}

// A fold leaves every view before it as it was, whatever is declared in whatever order.
func TestFoldsLeaveTheViewsBeforeAsTheyWere(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	type kept struct {
		view *Catalog
		want map[string][]string
	}
	look := func(c *Catalog) map[string][]string {
		m := map[string][]string{}
		for _, tenant := range []string{"x", "y"} {
			for _, event := range []string{"bet", "page"} {
				m[tenant+"/"+event] = names(c, tenant, event)
			}
		}
		return m
	}
	var c *Catalog
	var views []kept
	for range 400 {
		name, tenant := fmt.Sprintf("c%d", r.IntN(12)), []string{"x", "y"}[r.IntN(2)]
		key := "Campaign/" + tenant + "/" + name
		switch r.IntN(4) {
		case 0:
			c = fold(c, key, nil, true)
		default:
			c = fold(c, key, declaration(hot(t, "name: hot", "name: "+name, "priority: 20", fmt.Sprint("priority: ", r.IntN(3)),
				"state: live", "state: "+[]string{"live", "live", "paused", "bad"}[r.IntN(4)], "until: [{event: bet", "until: [{event: "+[]string{"bet", "page"}[r.IntN(2)])), false)
		}
		views = append(views, kept{c, look(c)})
	}
	for i, v := range views {
		if got := look(v.view); !reflect.DeepEqual(got, v.want) {
			t.Fatalf("view %d became %v, was %v", i, got, v.want)
		}
	}
}
