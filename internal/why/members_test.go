package why

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/rehearse"
	book "github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// listed is the campaign of the stories for the members of a list, every bet a match.
func listed(admit string) string {
	s := strings.NewReplacer("  reentry: {mode: cooldown, every: 1h}\n", "  reentry: {mode: always}\n  audience: {"+admit+"}\n").Replace(file("live", 1))
	return s
}

// know declares an audience or the version of a list.
func (s *story) know(minute float64, kind, name, version, source string) {
	s.t.Helper()
	d := &schemas.Declaration{Kind: kind, Tenant: "demo", Name: name, Version: version, Source: []byte(source), AppliedMs: minutes(minute).UnixMilli()}
	s.known = append(s.known, declare.Version{Declaration: d})
	if err := rehearse.Declare(s.stepper, d); err != nil {
		s.t.Fatal(err)
	}
}

// audience declares an uploaded audience.
func (s *story) audience(minute float64, name string) {
	s.t.Helper()
	s.know(minute, "Audience", name, "a", "apiVersion: dwell/v1\nkind: Audience\nmetadata: {name: "+name+"}\nspec: {list: true}\n")
}

// join puts the user into the version of a list whose load begins at a minute; a version is that time.
func (s *story) join(minute float64, name string) {
	s.t.Helper()
	m := membership{at: schemas.Coordinates{Topic: topics.Members.Name, Partition: 3, Offset: int64(len(s.members))}, ms: minutes(minute + 0.5).UnixMilli()}
	m.of = &schemas.Member{Tenant: "demo", User: "ann", Audience: name, Version: minutes(minute).UnixMilli()}
	var err error
	if m.value, err = topics.Members.Codec.Append(nil, m.of); err != nil {
		s.t.Fatal(err)
	}
	s.members = append(s.members, m)
	if err := s.stepper.Member("demo/ann", m.at, m.ms, m.value); err != nil {
		s.t.Fatal(err)
	}
}

// loaded makes the version current whose load began at a minute.
func (s *story) loaded(minute float64, name string) {
	s.t.Helper()
	s.know(minute+1, book.ListKind, name, fmt.Sprint(minutes(minute).UnixMilli()), "{}")
}

// stands are the seen matches with the lists, as in+vip, and whether they were sent.
func stands(a *Answer) string {
	var all []string
	for _, e := range a.Seen {
		text := e.ID
		for _, m := range e.Lists {
			switch {
			case m.In == nil:
				text += " ?" + m.Audience
			case *m.In:
				text += " +" + m.Audience
			default:
				text += " -" + m.Audience
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func gatesOf(a *Answer) string {
	var all []string
	for _, v := range a.Verdicts {
		all = append(all, v.Verdict)
	}
	return strings.Join(all, " ")
}

// refreshed is a user who is in the first version of a list, not in the second, and in the third.
func refreshed(t *testing.T, admit string) *story {
	s := newStory(t)
	s.audience(0, "vip")
	s.apply(1, listed(admit))
	s.event(2, "a", "bet", "win")
	s.join(10, "vip")
	s.event(10.7, "b", "bet", "win") // while it is loaded
	s.loaded(10, "vip")
	s.event(12, "c", "bet", "win")
	s.loaded(20, "vip")
	s.event(22, "d", "bet", "win")
	s.join(30, "vip")
	s.loaded(30, "vip")
	s.event(32, "e", "bet", "win")
	return s
}

func TestMembershipIsThatOfTheTimeOfTheEvent(t *testing.T) {
	for admit, want := range map[string][2]string{
		"include: [vip]": {"AUDIENCE AUDIENCE SENT AUDIENCE SENT", "2"},
		"exclude: [vip]": {"AUDIENCE AUDIENCE AUDIENCE SENT AUDIENCE", "1"},
	} {
		s := refreshed(t, admit)
		a := s.ask(40)
		if got := gatesOf(a); got != want[0] {
			t.Fatalf("%s: the worker wrote %s, want %s", admit, got, want[0])
		}
		if got := stands(a); got != "a -vip, b -vip, c +vip, d -vip, e +vip" {
			t.Errorf("%s: stood as %s", admit, got)
		}
		// What the replay made of it is what the worker did.
		if fmt.Sprint(a.Progress.Fired) != want[1] {
			t.Errorf("%s: %d were let through, want %s", admit, a.Progress.Fired, want[1])
		}
		s.says(a, "the user was in the list vip (version "+fmt.Sprint(minutes(30).UnixMilli())+")")
		s.says(s.ask(25), "the user was not in the list vip (version "+fmt.Sprint(minutes(20).UnixMilli())+")")
		s.says(s.ask(5), "kept everybody back because of vip: it was not loaded by then")
		if got := s.ask(25).Progress.Fired; got != 1 {
			t.Errorf("%s: at an earlier time %d were let through", admit, got)
		}
	}
}

// A response that waited is asked about when it is due, by the list of that time, whenever the next event comes.
func TestWhatWaitedIsAskedByTheListOfThatTime(t *testing.T) {
	s := newStory(t)
	s.audience(0, "vip")
	s.apply(1, strings.Replace(listed("include: [vip], check: [send]"), "  reentry:", "  response: {delay: 10m}\n  reentry:", 1))
	s.event(5, "a", "bet", "win")
	s.join(10, "vip")
	s.loaded(10, "vip")
	s.loaded(20, "vip")
	s.event(40, "b", "bet", "win")
	if a := s.ask(45); a.Progress.Fired != 1 || stands(a) != "a -vip, b -vip" {
		t.Errorf("%d were let through, stood as %s", a.Progress.Fired, stands(a))
	}
	if a := s.ask(60); a.Progress.Fired != 1 {
		t.Errorf("the second one, too: %d were let through", a.Progress.Fired)
	}
}

func TestWhatTheLogOfMembersHasNoMoreIsSaidToBeUnknown(t *testing.T) {
	s := refreshed(t, "include: [vip]")
	// The log begins while the third version is loaded; there is no row.
	s.change = func(m *memberships) { m.all, m.reachMS["ann"] = m.all[1:], minutes(29).UnixMilli(); m.row = nil }
	a := s.ask(40)
	if got := stands(a); got != "a -vip, b -vip, c ?vip, d ?vip, e +vip" || a.Progress.Fired != 1 {
		t.Errorf("stood as %s, %d were let through", got, a.Progress.Fired)
	}
	s.says(a, "Of 2 matches it cannot be known", "the user was in the list vip")
	s.says(s.ask(25), "Whether the user was in the list vip", "cannot be known: version", "what the gate said is in the verdicts")

	// Nothing is left in the log, but the row knows the version that is current.
	third := minutes(30).UnixMilli()
	s.change = func(m *memberships) {
		m.all, m.reachMS["ann"], m.row = nil, minutes(9999).UnixMilli(), &schemas.ProfileState{}
		profile.Join(m.row, "vip", third)
	}
	if a = s.ask(40); stands(a) != "a -vip, b -vip, c ?vip, d ?vip, e +vip" || a.Progress.Fired != 1 {
		t.Errorf("by the row: stood as %s, %d were let through", stands(a), a.Progress.Fired)
	}
	s.change = func(m *memberships) { m.all, m.reachMS["ann"], m.row = nil, minutes(9999).UnixMilli(), nil }
	if a = s.ask(40); stands(a) != "a -vip, b -vip, c ?vip, d ?vip, e -vip" {
		t.Errorf("by an empty row: stood as %s", stands(a))
	}
	s.change = func(m *memberships) { m.all, m.reachMS["ann"], m.hasRow = nil, minutes(9999).UnixMilli(), false }
	if a = s.ask(40); stands(a) != "a -vip, b -vip, c ?vip, d ?vip, e ?vip" {
		t.Errorf("by the row of an id that is somebody else's: stood as %s", stands(a))
	}
	s.change = func(m *memberships) { m.full["vip"] = true }
	if a = s.ask(40); stands(a) != "a ?vip, b ?vip, c +vip, d -vip, e +vip" {
		t.Errorf("with versions that are not kept: stood as %s", stands(a))
	}
	s.says(s.ask(5), "only the last 100 versions of a list stay readable")
}

func TestWhatAnErasureForgotIsNoMembership(t *testing.T) {
	s := refreshed(t, "include: [vip]")
	s.change = func(m *memberships) { m.forget(minutes(15).UnixMilli(), time.Time{}) }
	if a := s.ask(40); stands(a) != "a -vip, b -vip, c -vip, d -vip, e +vip" {
		t.Errorf("stood as %s", stands(a))
	}
	s.change = func(m *memberships) { m.forget(minutes(15).UnixMilli(), minutes(15)) }
	if a := s.ask(40); stands(a) != "a -vip, b -vip, c -vip, d -vip, e -vip" {
		t.Errorf("still erased, stood as %s", stands(a))
	}
}

func TestAnAudienceThatIsNotThereIsNamed(t *testing.T) {
	s := newStory(t)
	s.know(0, "Audience", "old", "a", "apiVersion: dwell/v1\nkind: Audience\nmetadata: {name: old}\nspec: {where: 'user.age > 60'}\n")
	s.apply(1, listed("include: [vip, old]"))
	s.event(2, "a", "bet", "win")
	a := s.ask(3)
	if got := stands(a); got != "a -vip" || len(a.Lists) != 1 {
		t.Errorf("stood as %s; a rule is no list: %v", got, a.Lists)
	}
	s.says(a, "because of vip: no audience of that name was declared then")
}

func TestMembershipsInJSONAndForPeople(t *testing.T) {
	s := refreshed(t, "include: [vip]")
	s.change = func(m *memberships) { m.all, m.reachMS["ann"] = m.all[1:], minutes(29).UnixMilli() }
	a := s.ask(40)
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Lists []map[string]any
		Seen  []struct{ Lists []map[string]any }
	}
	if err := json.Unmarshal(b, &back); err != nil || len(back.Lists) != 1 || back.Lists[0]["in"] != true || len(back.Seen) != 5 {
		t.Fatalf("%v: %s", err, b)
	}
	if l := back.Seen[2].Lists[0]; l["in"] != nil || l["why"] == "" || l["audience"] != "vip" || l["version"] != float64(minutes(10).UnixMilli()) {
		t.Errorf("an unknown one is %v", l)
	}
	var text bytes.Buffer
	if err := a.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not in vip", "in vip? unknown", "in vip\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, text.String())
		}
	}
}

func TestAnsweringCostsLittleWithListsThatAreRefreshedDaily(t *testing.T) {
	s := newStory(t)
	s.audience(0, "vip")
	s.apply(1, listed("include: [vip]"))
	for i := range declare.MaxVersions {
		if i%2 == 0 {
			s.join(float64(i*10+2), "vip")
		}
		s.loaded(float64(i*10+2), "vip")
		s.event(float64(i*10+5), fmt.Sprint("e", i), "bet", "win")
	}
	began := time.Now()
	a := s.ask(5000)
	if a.Progress.Fired != uint32(declare.MaxVersions/2) {
		t.Errorf("%d were let through in %v", a.Progress.Fired, time.Since(began))
	}
	t.Logf("stepped in %.1f ms", a.SteppingMS)
}

// What the log has no more of another id's memberships, the user's row may have from it: it counts from the claim
// on, and is unknown before.
func TestWhatAnotherIDBroughtAlongCountsFromItsClaimOn(t *testing.T) {
	version := minutes(10).UnixMilli()
	known := []declare.Version{{Declaration: &schemas.Declaration{Kind: book.ListKind, Tenant: "demo", Name: "vip", Version: fmt.Sprint(version), AppliedMs: minutes(11).UnixMilli()}}}
	list := &campaign.Audience{Name: "vip", List: true}
	of := func(anonymousReach int64, inRow bool) *memberships {
		m := newMemberships("ann", []alias{{id: "~phone", owner: "ann", ms: minutes(20).UnixMilli()}}, known)
		m.hasRow, m.row, m.reachMS["~phone"] = true, &schemas.ProfileState{}, anonymousReach
		if inRow {
			profile.Join(m.row, "vip", version)
		}
		if err := m.fromRow(Question{Tenant: "demo", User: "ann"}, known); err != nil {
			t.Fatal(err)
		}
		return m
	}
	gone := minutes(15).UnixMilli()
	if m := of(gone, true); len(m.all) != 1 || m.all[0].ms != minutes(20).UnixMilli() {
		t.Errorf("it counts from %+v", m.all)
	} else if s := m.in(list, "vip", version, false, "~phone"); s.In != nil || s.Why == "" {
		t.Errorf("before the claim it is %+v", s)
	}
	if m := of(0, true); len(m.all) != 1 || m.all[0].ms != minutes(11).UnixMilli() {
		t.Errorf("with the other id's log whole it counts from %+v", m.all)
	}
	// What the row has not now, no id had.
	if s := of(gone, false).in(list, "vip", version, false, "~phone"); s.In == nil || *s.In {
		t.Errorf("what nobody had is %+v", s)
	}
}
