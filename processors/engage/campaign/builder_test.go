package campaign

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/processors/engage/trigger"
)

// says is all that a campaign says, whatever document it came from.
func says(c *Campaign) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	all := func(what string, ms []Matcher) {
		for _, m := range ms {
			line("%s %s %q", what, m.Event, m.Where.String())
		}
	}
	line("%s %q %s pattern %x", c.Name, c.Tags, c.State, c.PatternHash)
	if a := c.Audience; a != nil {
		line("audience %q %q %q %v %v", a.Include, a.Exclude, a.Where.String(), a.Match, a.Send)
	}
	t := &c.Trigger
	line("%+v clock %s by %q over %v", t.Machine(), t.Clock, t.Correlate.String(), t.StartsOver)
	for _, s := range t.Pattern.Steps() {
		line("step %s %q %b", s.Event, s.Where.String(), s.Bits)
	}
	if a := t.Pattern.Aggregate; a != nil {
		line("of %s", a.Field)
	}
	all("until", t.Until)
	line("reentry %+v priority %d slot %q delay %v expires %v", c.Reentry, c.Priority, c.Slot, c.Delay, c.ExpireAfter)
	all("cancel", c.CancelOn)
	if q := c.Quiet; q != nil {
		line("quiet %v to %v %v %v", q.From, q.To, q.Zone, q.Cancel)
	}
	line("caps %+v", c.Caps)
	if c.Experiment != nil {
		line("experiment %+v", *c.Experiment)
	}
	for _, k := range c.Conversions {
		line("conversion %s %q %v", k.Of.Event, k.Of.Where.String(), k.Within)
	}
	for _, ch := range c.Channels {
		line("channel %s %s %s", ch.Type, ch.Content, ch.Payload)
		for _, v := range ch.Variants {
			line("variant %s %s %s", v.Name, v.Content, v.Payload)
		}
	}
	return b.String()
}

func eventOf(m Matcher) EventSpec {
	if m.Where.String() == "" {
		return Event(m.Event)
	}
	return Event(m.Event).Where(m.Where.String())
}

func eventsOf(ms []Matcher) (all []EventSpec) {
	for _, m := range ms {
		all = append(all, eventOf(m))
	}
	return all
}

func patternOf(p *Pattern) PatternSpec {
	switch {
	case p.Sequence != nil:
		return Sequence(eventsOf(p.Sequence)...)
	case p.AllOf != nil:
		return AllOf(eventsOf(p.AllOf)...)
	case p.AnyOf != nil:
		return AnyOf(eventsOf(p.AnyOf)...)
	case p.Absence != nil:
		if s := Absent(eventOf(p.Absence.Of), eventOf(p.Absence.Not)); !p.Absence.Restart {
			return s
		} else {
			return s.Restart()
		}
	case p.Aggregate != nil:
		a := p.Aggregate
		of := map[trigger.Function]func(EventSpec, string) Number{trigger.Sum: Sum, trigger.Distinct: CountDistinct, trigger.Min: Min, trigger.Max: Max, trigger.Avg: Avg}
		n := of[a.Crossing.Of](eventOf(a.Of), a.Field.String())
		return map[trigger.Comparison]func(float64) PatternSpec{trigger.Above: n.Above, trigger.AtLeast: n.AtLeast, trigger.Below: n.Below, trigger.AtMost: n.AtMost}[a.Crossing.Compare](a.Crossing.Bound)
	}
	return Count(eventOf(p.Count.Of), p.Count.Times)
}

func triggerOf(t *Trigger) PatternSpec {
	p := patternOf(&t.Pattern).AllowedLateness(t.Frame.AllowedLateness)
	if len(t.Until) > 0 {
		p = p.Until(eventsOf(t.Until)...)
	}
	if t.Frame.Within > 0 {
		p = p.Within(t.Frame.Within)
	}
	if t.Frame.Strict {
		p = p.Strict()
	}
	switch t.Frame.Window {
	case trigger.Tumbling:
		p = p.Tumbling()
	case trigger.Session:
		p = p.Session(t.Frame.Gap)
	case trigger.Sliding:
	}
	if t.Frame.AfterMatch != trigger.SkipPastLast {
		p = p.AfterMatch(t.Frame.AfterMatch)
	}
	if t.Clock == trigger.IngestTime {
		p = p.ByIngestTime()
	}
	if f := t.Correlate.String(); f != "" {
		p = p.Correlate(f)
	}
	return p
}

// popupOf is what a payload shows beyond another one.
func popupOf(t *testing.T, content string, payload, than []byte) ChannelSpec {
	t.Helper()
	var p, base popup
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	if than != nil {
		if err := json.Unmarshal(than, &base); err != nil {
			t.Fatal(err)
		}
	}
	c := Popup("")
	if content != base.Content {
		c = Popup(content)
	}
	for _, f := range []struct {
		own, base string
		set       func(ChannelSpec, string) ChannelSpec
	}{{p.Title, base.Title, ChannelSpec.Title}, {p.Body, base.Body, ChannelSpec.Body}, {p.Button, base.Button, ChannelSpec.Button}, {p.Link, base.Link, ChannelSpec.Link}} {
		if f.own != f.base {
			c = f.set(c, f.own)
		}
	}
	return c
}

// builderOf is the builder of a campaign that was read from a file.
func builderOf(t *testing.T, c *Campaign) Builder {
	t.Helper()
	b := New(c.Name).Tags(c.Tags...).State(c.State).When(triggerOf(&c.Trigger)).Reentry(c.Reentry).Priority(int(c.Priority))
	if a := c.Audience; a != nil {
		b = b.Audience(In(a.Include...), NotIn(a.Exclude...))
		if w := a.Where.String(); w != "" {
			b = b.Audience(Who(w))
		}
		if !a.Match {
			b = b.Audience(CheckAt("send"))
		} else if !a.Send {
			b = b.Audience(CheckAt("match"))
		}
	}
	if c.Slot != "" {
		b = b.Slot(c.Slot)
	}
	if c.Delay > 0 {
		b = b.Delay(c.Delay)
	}
	if len(c.CancelOn) > 0 {
		b = b.CancelOn(eventsOf(c.CancelOn)...)
	}
	if h := c.Quiet; h != nil {
		wall := func(d time.Duration) string { return time.Time{}.Add(d).Format("15:04") }
		q := Quiet(wall(h.From), wall(h.To))
		if h.Zone != nil {
			q = q.Zone(h.Zone.String())
		}
		if h.Cancel {
			q = q.Cancel()
		}
		b = b.QuietHours(q)
	}
	for _, k := range c.Caps {
		b = b.Cap(k.Scope, k.Max, k.Per)
	}
	if e := c.Experiment; e != nil {
		b = b.Holdout(float64(e.Holdout) / gate.Buckets).Salt(e.Salt)
		for _, v := range e.Variants {
			b = b.Variant(v.Name, int(v.Weight))
		}
	}
	for _, k := range c.Conversions {
		b = b.Converts(eventOf(k.Of), k.Within)
	}
	if c.Trigger.StartsOver {
		b = b.OnEdit("reset")
	}
	ch := &c.Channels[0]
	s := popupOf(t, ch.Content, ch.Payload, nil)
	for _, v := range ch.Variants {
		s = s.Variant(v.Name, popupOf(t, v.Content, v.Payload, ch.Payload))
	}
	if c.ExpireAfter > 0 {
		s = s.Expire(c.ExpireAfter)
	}
	return b.Send(s)
}

// files are all campaign files that lie here, and the files of other tests of this package.
func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{
		"plainFile": plainFile, "responseFile": responseFile,
		"admitted": strings.Replace(plainFile, "  trigger:", "  audience: {include: [vip, gold], exclude: [self_excluded], where: 'user.country == \"GB\"', check: [send]}\n  trigger:", 1),
		"reset":    plainFile + "  on_edit: reset\n",
		"quiet":    strings.Replace(responseFile, "zone: user, action: defer", "zone: Europe/London, action: cancel", 1),
	}
	for i, p := range []string{
		`sequence: [{event: a}, {event: b, where: 'event.x > 1'}]`, `all_of: [{event: a}, {event: b}, {event: a}]`, `any_of: [{event: a}, {event: b}]`,
		`absence: {event: a, where: 'event.x', not: {event: b}, restart: true}`, `aggregate: {event: a, avg: event.x.y, is: ' <= -1.5 '}`,
		`aggregate: {event: a, count_distinct: event.x, is: '>3'}`, `aggregate: {event: a, min: event.x, is: '<1e9'}`, `aggregate: {event: a, max: event.x, is: '>=0.25'}`,
	} {
		all[fmt.Sprintf("pattern %d", i)] = withPattern(p)
	}
	for _, root := range []string{"../../../examples", "../testdata/campaigns"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".yaml" {
				return err
			}
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestEveryFileCanBeBuiltInGo(t *testing.T) {
	for name, text := range files(t) {
		f, err := ParseFile(name, []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, want := range f.Campaigns {
			got, err := builderOf(t, want).Build()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if g, w := says(got), says(want); g != w {
				t.Errorf("%s: built\n%s\nthe file says\n%s\nthe document\n%s", name, g, w, got.Source)
			}
			if again := mustParse(t, string(got.Source)); says(again) != says(got) || again.Version != got.Version {
				t.Errorf("%s: the document that was built reads otherwise:\n%s", name, got.Source)
			}
		}
	}
}

func TestFaultsNameTheCallsThatBroughtThemIn(t *testing.T) {
	_, err := New("Hot").Tags("").Audience(In("vip"), Who("user.country =")).
		When(Count(Event("").Where("event.x ="), 0).Until(Event("loss")).Within(-time.Minute)).
		Reentry(Cooldown(0)).Delay(time.Microsecond).CancelOn(Event("identify")).QuietHours(Quiet("25:00", "8").Zone("Mars")).
		Priority(5000).Cap("channal", 0, time.Hour).Holdout(1.5).Variant("a", 1).Variant("a", -1).Converts(Event("deposit"), 0).
		OnEdit("replay").Send(Popup("").Link("javascript:x").Variant("b", Popup("x"))).Build()
	if err == nil {
		t.Fatal("it was built")
	}
	for _, want := range []string{
		"New: ", "Tags[0]: ", "Audience.where: ", "When.count.event: ", "When.count.where: ", "When.count.times: ", "When.Within: ", "Reentry.every: ", "Delay: ",
		"QuietHours.from: ", "QuietHours.to: ", "QuietHours.zone: ", "CancelOn[0].event: ", "Priority: ", "Cap[0].scope: ", "Cap[0].max: ", "Holdout: ", "Variant[1].name: ", "Variant[1].weight: ",
		"Converts[0].within: ", "OnEdit: ", "Send[0].content: ", "Send[0].link: ", "Send[0].variants.b: ",
	} {
		if !strings.Contains(err.Error(), `campaign.New("Hot"): `+want) {
			t.Errorf("no fault of %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if strings.Contains(err.Error(), "spec.") || strings.Contains(err.Error(), "metadata") {
		t.Errorf("a fault names the document: %v", err)
	}
}

func TestABuilderIsAValue(t *testing.T) {
	base := New("base").Tags("promo").When(Count(Event("bet"), 1)).Cap("channel", 1, time.Hour).Variant("a", 1).Converts(Event("buy"), time.Hour).Audience(In("vip"))
	one := base.Tags("one").Cap("global", 1, time.Hour).Variant("b", 1).Converts(Event("one"), time.Hour).Audience(In("one")).Send(Popup("one"))
	two := base.Tags("two").Cap("campaign", 2, time.Hour).Variant("c", 1).Converts(Event("two"), time.Hour).Audience(In("two")).Send(Popup("two"))
	for word, b := range map[string]Builder{"two": one, "one": two} {
		y, err := b.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(y), word) {
			t.Errorf("what the other one has, %q, is in\n%s", word, y)
		}
	}
	y, err := base.Send(Popup("x")).YAML()
	if err != nil || strings.Contains(string(y), "one") || strings.Contains(string(y), "two") {
		t.Errorf("%v:\n%s", err, y)
	}
}

// FuzzTextSurvivesTheDocument: whatever text Go gives, the campaign says that text or is refused.
func FuzzTextSurvivesTheDocument(f *testing.F) {
	for _, s := range []string{"true", "a: b", "- x", "---", "\"", "'", "#", "null", "1", "é\n\t\u2028", "\x00", "\x1b", "\\", "on", "<b>", "{[", "\u0085\ufeff", "😀", "\xff", "a\n---\nb", "&a *b !c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := New("x").When(Count(Event(s), 1)).Slot(s).Send(Popup("popup/x").Body(s)).Build()
		if err != nil {
			return
		}
		var p popup
		if err := json.Unmarshal(c.Channels[0].Payload, &p); err != nil {
			t.Fatal(err)
		}
		if got := c.Trigger.Pattern.Count.Of.Event; got != s || c.Slot != s || p.Body != s {
			t.Errorf("%q became %q, %q and %q in\n%s", s, got, c.Slot, p.Body, c.Source)
		}
	})
}
