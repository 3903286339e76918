package why

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/audience"
	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const vipFiles = `apiVersion: dwell/v1
kind: Audience
metadata: {name: vip}
spec: {list: true}
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: one}
spec:
  state: live
  audience: {include: [vip]}
  reentry: {mode: always}
  trigger: {pattern: {count: {event: bet, times: 1}}}
  channels: [{type: popup, content: popup/one}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: three}
spec:
  state: live
  audience: {include: [vip]}
  reentry: {mode: always}
  trigger: {pattern: {count: {event: bet, times: 3}}, within: 1h}
  channels: [{type: popup, content: popup/three}]
`

// crowd is a broker with a Decider at work, and people whose events it decides.
type crowd struct {
	t   *testing.T
	cfg kafka.Config
	out *kafka.Emitter[*schemas.Event]
	n   int
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, cfg: livetest.Kafka(t, 4)}
	f, err := campaign.ParseFile("vip.yaml", []byte(vipFiles))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := declare.ApplyAll(t.Context(), c.cfg, "demo", declare.Documents(*f), false); err != nil {
		t.Fatal(err)
	}
	if c.out, err = kafka.NewEmitter(c.cfg, "test", topics.Events); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.out.Close() })
	livetest.Until(t, "ready", livetest.Decide(t, c.cfg, "why", "").Ready)
	return c
}

// say sends an event; an id that begins with ~ is an anonymous one.
func (c *crowd) say(e *schemas.Event) {
	c.t.Helper()
	c.n++
	e.Id, e.Tenant, e.TimeMs = fmt.Sprint("e", c.n), "demo", time.Now().UnixMilli()
	if err := c.out.EmitSync(c.t.Context(), e.Key(), e); err != nil {
		c.t.Fatal(err)
	}
}

// bet is a bet under an id; it waits until the campaign one is decided so many times for those of the person.
func (c *crowd) bet(id, user string, decided int) {
	c.t.Helper()
	e := &schemas.Event{UserId: id, Type: "track", Name: "bet"}
	if name, ok := strings.CutPrefix(id, "~"); ok {
		e.UserId, e.AnonymousId = "", name
	}
	c.say(e)
	livetest.Until(c.t, fmt.Sprint(id, " is decided ", decided, " times"), func() bool { return len(c.ask("one", user).Verdicts) == decided })
}

func (c *crowd) ask(campaign, user string) *Answer {
	c.t.Helper()
	a, err := Ask(c.t.Context(), c.cfg, Question{Tenant: "demo", Campaign: campaign, User: user, At: time.Now().Add(time.Second)})
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// load loads a list with these and one more, by whom it is seen to be in force.
func (c *crowd) load(members ...string) {
	c.t.Helper()
	probe := fmt.Sprint("probe", c.n)
	ctx, cancel := context.WithTimeout(c.t.Context(), livetest.Patience)
	defer cancel()
	l := audience.Load{Cluster: c.cfg, Tenant: "demo", Name: "vip"}
	if _, err := l.Run(ctx, "vip.csv", strings.NewReader(strings.Join(append(members, probe), "\n"))); err != nil {
		c.t.Fatal(err)
	}
	livetest.Until(c.t, "the list is in force", func() bool {
		c.say(&schemas.Event{UserId: probe, Type: "track", Name: "bet"})
		return strings.Contains(gatesOf(c.ask("one", probe)), "SENT")
	})
}

// told are the verdicts that the log has, and those of the steps that were made once more.
func told(a *Answer) (live, again []string) {
	for _, v := range a.Verdicts {
		live = append(live, v.User+" "+v.Verdict+" "+strings.Join(v.EventIDs, "+")+" "+v.MatchID)
	}
	for _, v := range a.stepped {
		again = append(again, v.User+" "+v.Verdict+" "+strings.Join(v.EventIds, "+")+" "+v.MatchId)
	}
	return live, again
}

// The campaign one is decided for each bet: two under the other id, one before the list is loaded; one each after the
// claim; one each after the next load. The campaign three is decided for the third and the sixth.
func TestListsOfEveryIdOfAPersonAreThoseOfWhatWasDecided(t *testing.T) {
	c := newCrowd(t)
	people := []struct{ other, user, one, three string }{
		{"~a1", "u1", "AUDIENCE SENT SENT SENT AUDIENCE AUDIENCE", "SENT AUDIENCE"}, // brought along; the next list names the pointer
		{"~a2", "u2", "AUDIENCE AUDIENCE SENT SENT AUDIENCE AUDIENCE", "SENT AUDIENCE"},
		{"~a3", "u3", "AUDIENCE SENT SENT SENT AUDIENCE AUDIENCE", "SENT AUDIENCE"},
		{"~a4", "u4", "AUDIENCE AUDIENCE AUDIENCE AUDIENCE SENT SENT", "AUDIENCE SENT"},
		{"old5", "u5", "AUDIENCE SENT SENT SENT SENT SENT", "SENT SENT"},
	}
	all := func(id func(i int) string, user func(i int) string, decided int) {
		for i := range people {
			c.bet(id(i), user(i), decided)
		}
	}
	other, user := func(i int) string { return people[i].other }, func(i int) string { return people[i].user }
	all(other, other, 1)
	c.load("~a1", "u2", "~a3", "u3", "old5")
	all(other, other, 2)
	for i, p := range people {
		e := &schemas.Event{UserId: p.user, Type: "alias", Name: "alias", PreviousId: p.other}
		if name, ok := strings.CutPrefix(p.other, "~"); ok {
			e = &schemas.Event{UserId: p.user, Type: "identify", Name: "identify", AnonymousId: name}
		}
		c.say(e)
		livetest.Until(t, p.user+" has claimed", func() bool { return c.ask("one", other(i)).User == p.user })
	}
	all(user, user, 3)
	all(other, user, 4)
	c.load("~a1", "u4", "~a4", "u5")
	all(other, other, 5)
	all(user, user, 6)
	for _, p := range people {
		for _, id := range []string{p.user, p.other} {
			for name, want := range map[string]string{"one": p.one, "three": p.three} {
				a := c.ask(name, id)
				live, again := told(a)
				if got := gatesOf(a); got != want {
					t.Errorf("%s of %s: decided %s, want %s", name, id, got, want)
				}
				if !slices.Equal(live, again) {
					t.Errorf("%s of %s: decided\n%s\nstepped once more\n%s", name, id, strings.Join(live, "\n"), strings.Join(again, "\n"))
				}
				c.standAsDecided(a)
				if a.User != p.user || (a.Asked == "") != (id == p.user) || !slices.Equal(a.Merged, []string{p.other}) || a.Events != 7 {
					t.Errorf("%s of %s: asked %q, merged %v, %d events of %s", name, id, a.Asked, a.Merged, a.Events, a.User)
				}
				if id == p.other && !strings.HasPrefix(a.Says[0], id+" is "+p.user+" since ") {
					t.Errorf("it does not say whose %s is: %s", id, a.Says[0])
				}
			}
		}
	}
}

// standAsDecided compares how the user stood at each match with what the gate said.
func (c *crowd) standAsDecided(a *Answer) {
	c.t.Helper()
	sent := map[string]bool{}
	for _, v := range a.Verdicts {
		sent[v.EventID] = v.Verdict == "SENT"
	}
	matched := 0
	for _, s := range a.Seen {
		if s.Effect != Matched {
			continue
		}
		if matched++; len(s.Lists) != 1 || s.Lists[0].In == nil || *s.Lists[0].In != sent[s.ID] {
			c.t.Errorf("%s of %s: at %s (as %q) the user stood as %v; sent: %v", a.Campaign, a.User, s.ID, s.As, s.Lists, sent[s.ID])
		}
	}
	if matched != len(a.Verdicts) {
		c.t.Errorf("%s of %s: %d matches are shown, %d were decided", a.Campaign, a.User, matched, len(a.Verdicts))
	}
}

// A device that two people claim: each gets what is theirs, and a question about the time before a claim is about
// the id itself.
func TestADeviceThatTwoPeopleClaimed(t *testing.T) {
	c := newCrowd(t)
	c.load("~d", "bob")
	c.bet("~d", "~d", 1)
	alone := time.Now()
	claim := func(user string) {
		c.say(&schemas.Event{UserId: user, Type: "identify", Name: "identify", AnonymousId: "d"})
		livetest.Until(t, user+" has claimed", func() bool { return c.ask("one", "~d").User == user })
	}
	claim("ann")
	c.bet("~d", "ann", 2)
	claim("bob")
	c.bet("~d", "bob", 1)
	ann, bob := c.ask("one", "ann"), c.ask("one", "bob")
	for want, a := range map[string]*Answer{"SENT SENT": ann, "SENT": bob} {
		live, again := told(a)
		if gatesOf(a) != want || !slices.Equal(live, again) {
			t.Errorf("%s: decided\n%s\nstepped once more\n%s", a.User, strings.Join(live, "\n"), strings.Join(again, "\n"))
		}
		c.standAsDecided(a)
	}
	now := c.ask("one", "~d")
	if now.User != "bob" || !strings.Contains(now.Says[0], "before its first claim is ann's") {
		t.Errorf("%s: %s", now.User, now.Says)
	}
	before, err := Ask(t.Context(), c.cfg, Question{Tenant: "demo", Campaign: "one", User: "~d", At: alone})
	if err != nil || before.User != "~d" || before.Asked != "" || gatesOf(before) != "SENT" || before.Events != 1 {
		t.Errorf("%v: %+v", err, before)
	}
}
