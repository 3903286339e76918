package campaign

import (
	"reflect"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/processors/engage/predicate"
)

// The spec of the guide, all of the response in it.
const responseFile = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: hot-streak, tags: [promo]}
spec:
  state: live
  trigger: {pattern: {count: {event: bet_settled, times: 1}}}
  response:
    delay: 10m
    cancel_on: [{event: deposit, where: 'event.amount > 10'}, {event: self_excluded}]
    expire_after: 30s
    quiet_hours: {from: "22:00", to: "08:30", zone: user, action: defer}
  caps: [{scope: channel, max: 1, per: 10m}, {scope: "tag:promo", max: 3, per: 24h}, {scope: campaign, max: 100, per: 30d}, {scope: global, max: 2, per: 1h}]
  experiment: {holdout: 10%, salt: hot-streak/holdout/1, variants: [{name: boost50, weight: 100}, {name: boost20, weight: 0}]}
  conversion: {events: [{event: deposit, within: 24h}, {event: upgrade, where: event.paid, within: 7d}]}
  channels: [{type: popup, content: popup/boost50, title: Go, variants: {boost20: {content: popup/boost20, body: Now}}}]
`

func TestEveryFieldOfTheResponseIsRead(t *testing.T) {
	c := mustParse(t, responseFile)
	cancel, paid := c.CancelOn[0].Where, c.Conversions[1].Of.Where
	if cancel.String() != "event.amount > 10" || paid.String() != "event.paid" {
		t.Errorf("conditions are %q and %q", cancel, paid)
	}
	c.CancelOn[0].Where, c.Conversions[1].Of.Where = predicate.Predicate{}, predicate.Predicate{}
	want := Response{
		Delay: 10 * time.Minute, CancelOn: []Matcher{{Event: "deposit"}, {Event: "self_excluded"}}, ExpireAfter: 30 * time.Second,
		Quiet: &gate.Hours{From: 22 * time.Hour, To: 8*time.Hour + 30*time.Minute},
		Caps: []gate.Cap{
			{Scope: "channel", Max: 1, Per: 10 * time.Minute},
			{Scope: "tag:promo", Max: 3, Per: 24 * time.Hour},
			{Scope: "campaign", Max: 100, Per: 30 * 24 * time.Hour},
			{Scope: "global", Max: 2, Per: time.Hour},
		},
		Experiment:  &gate.Experiment{Holdout: 1000, Salt: "hot-streak/holdout/1", Variants: []gate.Variant{{Name: "boost50", Weight: 100}, {Name: "boost20"}}},
		Conversions: []Conversion{{Of: Matcher{Event: "deposit"}, Within: 24 * time.Hour}, {Of: Matcher{Event: "upgrade"}, Within: 7 * 24 * time.Hour}},
	}
	if !reflect.DeepEqual(c.Response, want) {
		t.Errorf("got  %+v\nwant %+v", c.Response, want)
	}
	if c.MaxConversionSpan() != 7*24*time.Hour {
		t.Errorf("the longest conversion takes %s", c.MaxConversionSpan())
	}
	for variant, want := range map[string]string{
		"boost20": `popup/boost20 {"title":"Go","body":"Now","content":"popup/boost20"}`,
		"boost50": `popup/boost50 {"title":"Go","content":"popup/boost50"}`,
		"":        `popup/boost50 {"title":"Go","content":"popup/boost50"}`,
	} {
		if content, payload := c.Channels[0].Shows(variant); content+" "+string(payload) != want {
			t.Errorf("%q shows %s %s", variant, content, payload)
		}
	}
}

func TestHoldoutsAreSharesOfTenThousand(t *testing.T) {
	for share, want := range map[string]uint32{"0%": 0, "10%": 1000, "0.01%": 1, "12.34%": 1234, "99.99%": 9999, "100%": 10_000, "29.3%": 2930} {
		if got := mustParse(t, strings.Replace(responseFile, "holdout: 10%", "holdout: "+share, 1)).Experiment.Holdout; got != want {
			t.Errorf("%s is %d, want %d", share, got, want)
		}
	}
	for _, share := range []string{"10", "-1%", "100.01%", "0.001%", "NaN%", "%", "ten%", "1e1000%", "10 %"} {
		if _, err := Parse("f.yaml", []byte(strings.Replace(responseFile, "holdout: 10%", "holdout: '"+share+"'", 1))); err == nil || !strings.Contains(err.Error(), "f.yaml:13: spec.experiment.holdout: must be a share") {
			t.Errorf("%s: %v", share, err)
		}
	}
}

func TestResponseDefaults(t *testing.T) {
	c := mustParse(t, strings.Replace(strings.Replace(responseFile, ", salt: hot-streak/holdout/1", "", 1), ", zone: user, action: defer", ", zone: Asia/Tokyo, action: cancel", 1))
	if c.Experiment.Salt != "hot-streak/holdout/1" {
		t.Errorf("the salt is %q", c.Experiment.Salt)
	}
	if !c.Quiet.Cancel || c.Quiet.Zone.String() != "Asia/Tokyo" {
		t.Errorf("quiet hours are %+v", c.Quiet)
	}
}

// What a row keeps depends on none of the response.
func TestPatternHashIgnoresTheResponse(t *testing.T) {
	base := mustParse(t, responseFile).PatternHash
	for _, cut := range []string{"  caps:", "  conversion:", "    delay:"} {
		i := strings.Index(responseFile, cut)
		changed := responseFile[:i] + responseFile[i+strings.Index(responseFile[i:], "\n")+1:]
		if mustParse(t, changed).PatternHash != base {
			t.Errorf("without %s the pattern is another", cut)
		}
	}
}

func TestListsOfTheResponseAreBounded(t *testing.T) {
	for what, source := range map[string]string{
		"spec.caps: has 17":                strings.Replace(responseFile, "caps: [", "caps: ["+strings.Repeat("{scope: global, max: 1, per: 1h}, ", 13), 1),
		"spec.response.cancel_on: has 17":  strings.Replace(responseFile, "cancel_on: [", "cancel_on: ["+strings.Repeat("{event: a}, ", 15), 1),
		"spec.experiment.variants: has 18": strings.Replace(responseFile, "variants: [{", "variants: ["+strings.Repeat("{name: boost50, weight: 1}, ", 16)+"{", 1),
		"spec.conversion.events: has 17":   strings.Replace(responseFile, "events: [", "events: ["+strings.Repeat("{event: a, within: 1h}, ", 15), 1),
		"metadata.tags: has 17":            strings.Replace(responseFile, "tags: [", "tags: ["+strings.Repeat("x, ", 16), 1),
	} {
		if _, err := Parse("f.yaml", []byte(source)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
