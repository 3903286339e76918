package campaign

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/profile"
)

// saysTrait is all that a trait says, whatever document it came from.
func saysTrait(t *Trait) string {
	if t.Computed == nil {
		return t.Name + " is kept"
	}
	d := t.Computed
	return fmt.Sprintf("%s %s %q %s %s %v %v %v %x", t.Name, d.Event, d.Where.String(), d.Of, d.Field, d.Over, d.Pane, d.HalfLife, d.ID)
}

func saysAudience(a *Audience) string {
	return fmt.Sprintf("%s %v %q", a.Name, a.List, a.Where.String())
}

const day = 24 * time.Hour

func TestEveryTraitCanBeBuiltInGo(t *testing.T) {
	bet := Event("bet").Where(`event.result == "win" && user.country == "GB"`)
	builders := map[string]TraitBuilder{
		"keep: true": NewTrait("a").Keep(),
		"event: bet, compute: count, over: 7d, pane: 6h":              NewTrait("a").Computes(profile.Count, Event("bet")).Over(7 * day).Pane(6 * time.Hour),
		"event: bet, compute: decayed, half_life: 36h":                NewTrait("a").Computes(profile.Decayed, Event("bet")).HalfLife(36 * time.Hour),
		"event: bet, compute: days_active, over: 30d":                 NewTrait("a").Computes(profile.DaysActive, Event("bet")).Over(30 * day),
		"event: bet, compute: decayed, half_life: 1h, field: event.a": NewTrait("a").Computes(profile.Decayed, Event("bet")).HalfLife(time.Hour).Field("event.a"),
	}
	for _, f := range profile.Functions() {
		spec, b := "event: bet, where: 'event.result == \"win\" && user.country == \"GB\"', compute: "+string(f), NewTrait("a").Computes(f, bet)
		if needs, _ := f.Field(); needs {
			spec, b = spec+", field: event.amount.net", b.Field("event.amount.net")
		}
		if f == profile.Decayed {
			spec, b = spec+", half_life: 90s", b.HalfLife(90*time.Second)
		}
		builders[spec] = b
	}
	for spec, b := range builders {
		f, err := ParseFile("a.yaml", []byte("apiVersion: dwell/v1\nkind: Trait\nmetadata: {name: a}\nspec: {"+spec+"}\n"))
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		built, err := b.Build()
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got, want := saysTrait(built), saysTrait(f.Traits[0]); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", spec, got, want)
		}
		document, err := b.YAML()
		again, parseErr := ParseFile("b.yaml", document)
		if err != nil || parseErr != nil || len(again.Traits) != 1 || saysTrait(again.Traits[0]) != saysTrait(built) || again.Traits[0].Version != built.Version {
			t.Errorf("%s: its document is\n%s\n%v %v", spec, document, err, parseErr)
		}
	}
}

func TestEveryAudienceCanBeBuiltInGo(t *testing.T) {
	for spec, b := range map[string]AudienceBuilder{
		"list: true": NewAudience("a").List(),
		`where: 'user.country == "GB" && user.bets >= 2'`: NewAudience("a").Where(`user.country == "GB" && user.bets >= 2`),
	} {
		f, err := ParseFile("a.yaml", []byte("apiVersion: dwell/v1\nkind: Audience\nmetadata: {name: a}\nspec: {"+spec+"}\n"))
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		built, err := b.Build()
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got, want := saysAudience(built), saysAudience(f.Audiences[0]); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", spec, got, want)
		}
		document, err := b.YAML()
		again, parseErr := ParseFile("b.yaml", document)
		if err != nil || parseErr != nil || len(again.Audiences) != 1 || again.Audiences[0].Version != built.Version {
			t.Errorf("%s: its document is\n%s\n%v %v", spec, document, err, parseErr)
		}
	}
}

func TestFaultsOfAudiencesAndTraitsNameTheCalls(t *testing.T) {
	build := func(b interface{ YAML() ([]byte, error) }) string {
		document, err := b.YAML()
		if err == nil || document != nil {
			return "no fault"
		}
		return err.Error()
	}
	for want, b := range map[string]interface{ YAML() ([]byte, error) }{
		`campaign.NewAudience("a b"): NewAudience: `:                NewAudience("a b").List(),
		`campaign.NewAudience("a"): Where: `:                        NewAudience("a").Where("user.a ="),
		`campaign.NewAudience("b"): Where: does nothing for a list`: NewAudience("b").Where("user.a == 1").List(),
		`campaign.NewTrait("a-b"): NewTrait: `:                      NewTrait("a-b").Keep(),
		`campaign.NewTrait("a"): Computes: `:                        NewTrait("a").Computes("median", Event("bet")),
		`campaign.NewTrait("b"): Field: `:                           NewTrait("b").Computes(profile.Sum, Event("bet")),
		`campaign.NewTrait("c"): Field: does nothing beside keep`:   NewTrait("c").Keep().Field("event.a"),
		`campaign.NewTrait("d"): Over: `:                            NewTrait("d").Computes(profile.DaysActive, Event("bet")).Over(25 * time.Hour),
		`campaign.NewTrait("e"): Pane: `:                            NewTrait("e").Computes(profile.Count, Event("bet")).Over(time.Hour).Pane(2 * time.Hour),
		`campaign.NewTrait("f"): HalfLife: `:                        NewTrait("f").Computes(profile.Decayed, Event("bet")),
	} {
		if got := build(b); !strings.Contains(got, want) {
			t.Errorf("the fault is %q, want %q in it", got, want)
		}
	}
	both := build(NewTrait("a-b").Computes(profile.Sum, Event("")))
	for _, want := range []string{"NewTrait", "Field", "Computes"} {
		if !strings.Contains(both, ": "+want+": ") {
			t.Errorf("not all faults are named, %s is missing: %s", want, both)
		}
	}
}

func TestBuildersOfAudiencesAndTraitsAreValues(t *testing.T) {
	base := NewTrait("a").Computes(profile.Count, Event("bet"))
	week, month := base.Over(7*day), base.Over(30*day)
	var spans []time.Duration
	for _, b := range []TraitBuilder{base, week, month} {
		built, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		spans = append(spans, built.Computed.Over)
	}
	if want := []time.Duration{0, 7 * day, 30 * day}; !reflect.DeepEqual(spans, want) {
		t.Errorf("windows are %v, want %v", spans, want)
	}
	list := NewAudience("a").List()
	if rule := NewAudience("a").Where("user.a == 1"); reflect.DeepEqual(rule, list) {
		t.Error("a rule is a list")
	}
}
