package audience

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
)

const header = "apiVersion: dwell/v1\nkind: %s\nmetadata: {name: %s}\nspec: {%s}\n"

// fold declares one document for tenant demo; without a spec it takes it away.
func fold(t *testing.T, b Book, kind, name, spec string) Book {
	t.Helper()
	d := &schemas.Declaration{Kind: kind, Tenant: "demo", Name: name, Version: spec, Source: fmt.Appendf(nil, header, kind, name, spec)}
	next, mine := b.Fold(kind, "demo", name, d, spec == "")
	if !mine {
		t.Fatalf("%s is none of the book's", kind)
	}
	return next
}

func computing(b Book, event string) string {
	var all []string
	for _, d := range b.Computing("demo", event) {
		all = append(all, d.Name)
	}
	return strings.Join(all, " ")
}

func TestATraitMovesWithItsEventAndOldBooksStay(t *testing.T) {
	var none Book
	one := fold(t, none, "Trait", "b", "event: bet, compute: count")
	two := fold(t, one, "Trait", "a", "event: bet, where: 'user.country == \"GB\"', compute: count")
	moved := fold(t, two, "Trait", "b", "event: page, compute: count")
	gone := fold(t, moved, "Trait", "a", "")
	for i, c := range []struct {
		book         Book
		bet, page    string
		wantsCountry bool
	}{{none, "", "", false}, {one, "b", "", false}, {two, "a b", "", true}, {moved, "a", "b", true}, {gone, "", "b", false}} {
		if bet, page := computing(c.book, "bet"), computing(c.book, "page"); bet != c.bet || page != c.page || c.book.Wanted("demo")("country") != c.wantsCountry {
			t.Errorf("book %d: bet is read by %q, page by %q, country is wanted: %v", i, bet, page, c.book.Wanted("demo")("country"))
		}
	}
	if _, mine := none.Fold(campaign.CampaignKind, "demo", "x", nil, true); mine {
		t.Error("a campaign is the book's")
	}
	if got := computing(two, "other"); got != "" || len(two.Computing("other", "bet")) > 0 {
		t.Error("another event or tenant is read")
	}
}

func TestReadersAreCounted(t *testing.T) {
	b := Book{}.Want("demo", []string{"country"}, 1).Want("demo", []string{"country", "plan"}, 1).Want("demo", []string{"country"}, -1)
	for name, want := range map[string]bool{"country": true, "plan": true, "email": false} {
		if b.Wanted("demo")(name) != want || b.Wanted("other")(name) {
			t.Errorf("%s is wanted: %v", name, !want)
		}
	}
	if b = b.Want("demo", []string{"country"}, -1); b.Wanted("demo")("country") {
		t.Error("nobody reads it any more")
	}
}

func TestAComputedTraitHidesWhatIdentifySays(t *testing.T) {
	b := fold(t, Book{}, "Trait", "bets", "event: bet, compute: count")
	b = fold(t, b, "Audience", "players", "where: 'user.bets >= 1 && user.country == \"GB\"'")
	p := &schemas.ProfileState{}
	profile.Learn(p, []byte(`{"bets": 70, "country": "GB"}`), func(string) bool { return true })
	u := b.User("demo", p, 1000)
	if v, _ := u.Field("bets"); v != int64(0) {
		t.Errorf("bets are %v", v)
	}
	if v, _ := b.Said("demo", p).Field("bets"); v != int64(70) {
		t.Errorf("said are %v", v)
	}
	if in, why := u.In("players"); in || why != "" {
		t.Errorf("in: %v %q", in, why)
	}
	b.Computing("demo", "bet")[0].Compute(p, predicate.NewProperties(nil), 1, 1000)
	if in, _ := u.In("players"); !in {
		t.Error("after a bet the user is not in")
	}
	if got := u.Fields([]string{"bets", "country", "nope"}); len(got) != 2 || got["bets"] != int64(1) {
		t.Errorf("fields are %v", got)
	}
	if _, why := u.In("nobody"); why != "not declared" {
		t.Errorf("why is %q", why)
	}
	var nothing *schemas.ProfileState
	if in, _ := b.User("demo", nothing, 0).In("players"); in {
		t.Error("a user of whom nothing is known is in")
	}
}

func TestAVersionNeverGoesBack(t *testing.T) {
	b := fold(t, Book{}, "Audience", "vip", "list: true")
	for _, step := range []struct {
		version string
		want    int64
	}{{"5", 5}, {"3", 5}, {"no number", 5}, {"9", 9}, {"", 0}} {
		d := &schemas.Declaration{Kind: ListKind, Version: step.version}
		b, _ = b.Fold(ListKind, "demo", "vip", d, step.version == "")
		if got := b.Current("demo", "vip"); got != step.want {
			t.Errorf("after %q version %d is current, want %d", step.version, got, step.want)
		}
	}
}
