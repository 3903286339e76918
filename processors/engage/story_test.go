package engage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/identity"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// A story is a file of lines; # starts a comment:
//
//	campaign FILE [FROM -> TO]...      declares testdata/campaigns/FILE with words replaced
//	retract NAME                       takes a campaign away; KIND/NAME something else
//	member NAME VERSION [USER]         puts a user into a version of an uploaded audience
//	current NAME VERSION               makes a version of it the one that counts
//	M:SS EVENT [k=v]... [=> WANT]      an event that arrives when it happens
//	arrives M:SS at M:SS EVENT ...     an event that arrives later, or earlier
//	deliver M:SS NAME STATUS [=> WANT] a channel's answer to the newest action of a campaign
//	erase M:SS USER [=> WANT]          an operator's command; lift M:SS USER takes it back
//	row USER BYTES                     the user's row has at most so many bytes, 0: it is gone, and no deadline but that of a pointer
//	again => WANT                      the record before, once more
//	passes M:SS [=> WANT]              time goes by without a record
//
// M:SS is time since proctest.Start, or a time such as 2026-03-28T23:30Z. id=, user=, anon=, prev= and tenant= are fields of the event
// (with anon= and no user= it has no user id), everything
// else properties. WANT lists verdicts in order, separated by commas: VERDICT [CAMPAIGN] [(EVENT
// IDS)] [{DETAIL}], where a detail is a part of the verdict's. Without => no verdict may come. A
// SENT that is not in shadow must come with its action, and nothing else with one.
type story struct {
	t    *testing.T
	run  *proctest.Run
	line string
	// last sends the newest record again, actions is the newest action of each campaign.
	last    func()
	actions map[string]*schemas.Action
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d stories: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &story{t: t, run: proctest.New(t, Processor), actions: map[string]*schemas.Action{}}
			lines := bufio.NewScanner(bytes.NewReader(b))
			for n := 1; lines.Scan(); n++ {
				text, _, _ := strings.Cut(lines.Text(), "#")
				if text = strings.TrimSpace(text); text != "" {
					s.line = fmt.Sprintf("%s:%d: %s", file, n, text)
					s.tell(text)
				}
			}
			if lines.Err() != nil {
				t.Fatal(lines.Err())
			}
		})
	}
}

func (s *story) tell(text string) {
	act, want, _ := strings.Cut(text, "=>")
	words := strings.Fields(act)
	switch words[0] {
	case "campaign":
		s.declare(words[1], strings.TrimPrefix(strings.TrimSpace(act), "campaign "+words[1]))
		return
	case "retract":
		kind, name, ok := strings.Cut(words[1], "/")
		if !ok {
			kind, name = "Campaign", words[1]
		}
		s.run.Retract(topics.Declarations.Name, kind+"/demo/"+name)
		return
	case "current":
		proctest.Declare(s.run, topics.Declarations, "List/demo/"+words[1], &schemas.Declaration{Kind: "List", Tenant: "demo", Name: words[1], Version: words[2]})
		return
	case "member":
		s.member(words[1], words[2], append(words[3:], "ann")[0])
	case "erase", "lift":
		s.erase(s.clock(words[1]), words[2], words[0] == "lift")
	case "row":
		s.row(words[1], words[2])
		return
	case "again":
	case "passes":
		s.run.Advance(s.clock(words[1]).Sub(s.run.Now()))
		s.last = func() {}
	case "arrives":
		s.event(s.clock(words[1]), s.clock(words[3]), words[4:])
	case "deliver":
		s.deliver(s.clock(words[1]), words[2], words[3])
	default:
		s.event(s.clock(words[0]), s.clock(words[0]), words[1:])
	}
	s.last()
	s.check(want)
}

// clock is a time of the story.
func (s *story) clock(text string) time.Time {
	if at, err := time.Parse("2006-01-02T15:04Z", text); err == nil {
		return at
	}
	var m, sec int
	if _, err := fmt.Sscanf(text, "%d:%d", &m, &sec); err != nil {
		s.t.Fatalf("%s: %q is no time: %v", s.line, text, err)
	}
	return proctest.Start.Add(time.Duration(m)*time.Minute + time.Duration(sec)*time.Second)
}

func (s *story) declare(file, changes string) {
	b, err := os.ReadFile(filepath.Join("testdata/campaigns", file))
	if err != nil {
		s.t.Fatal(err)
	}
	source := string(b)
	for _, change := range strings.Split(changes, ";") {
		if from, to, ok := strings.Cut(change, "->"); ok {
			from, to = strings.TrimSpace(from), strings.TrimSpace(to)
			if !strings.Contains(source, from) {
				s.t.Fatalf("%s: %q is not in the file", s.line, from)
			}
			source = strings.ReplaceAll(source, from, to)
		}
	}
	declareSource(s.t, s.run, "demo", source)
}

// declareSource declares every campaign of a source.
func declareSource(t testing.TB, r *proctest.Run, tenant, source string) {
	t.Helper()
	all, err := campaign.ParseFile("story.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	declare := func(kind, name, version string, source []byte) {
		proctest.Declare(r, topics.Declarations, kind+"/"+tenant+"/"+name, &schemas.Declaration{
			Kind: kind, Tenant: tenant, Name: name, Version: version, Source: source, File: "story.yaml",
		})
	}
	for _, a := range all.Audiences {
		declare("Audience", a.Name, a.Version, a.Source)
	}
	for _, v := range all.Traits {
		declare("Trait", v.Name, v.Version, v.Source)
	}
	for _, c := range all.Campaigns {
		declare("Campaign", c.Name, c.Version, c.Source)
	}
}

func (s *story) member(audience, version, user string) {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		s.t.Fatalf("%s: %v", s.line, err)
	}
	s.last = func() {
		m := &schemas.Member{Tenant: "demo", User: user, Audience: audience, Version: n}
		proctest.Send(s.run, topics.Members, schemas.Key(m.Tenant, m.User), m)
	}
}

func (s *story) event(arrives, at time.Time, words []string) {
	e := &schemas.Event{Tenant: "demo", UserId: "ann", Type: "track", Name: words[0], TimeMs: at.UnixMilli(), ReceivedMs: arrives.UnixMilli()}
	if slices.Contains([]string{"page", "screen", "identify", "alias", "group"}, words[0]) {
		e.Type = words[0]
	}
	props := map[string]any{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "id":
			e.Id = v
		case "user":
			e.UserId = v
		case "anon":
			if e.AnonymousId = v; !strings.Contains(" "+strings.Join(words, " "), " user=") {
				e.UserId = ""
			}
		case "prev":
			e.PreviousId = v
		case "tenant":
			e.Tenant = v
		default:
			var value any
			if json.Unmarshal([]byte(v), &value) == nil { // a number, true, false or null
				props[k] = value
			} else {
				props[k] = v
			}
		}
	}
	if len(props) > 0 {
		e.Properties, _ = json.Marshal(props)
		if e.Type == "identify" {
			e.Properties, e.Traits = nil, e.Properties
		}
	}
	s.run.Advance(arrives.Sub(s.run.Now()))
	s.last = func() { proctest.Send(s.run, topics.Events, e.Key(), e) }
}

func (s *story) erase(at time.Time, user string, lift bool) {
	s.run.Advance(at.Sub(s.run.Now()))
	m := &schemas.Identity{Tenant: "demo", User: user, Erase: &schemas.Erase{Request: "r" + at.Format("0405"), Lift: lift}}
	s.last = func() { proctest.Send(s.run, topics.Identities, schemas.Key(m.Tenant, m.User), m) }
}

func (s *story) row(user, bytes string) {
	most, err := strconv.Atoi(bytes)
	if err != nil {
		s.t.Fatalf("%s: %v", s.line, err)
	}
	b := s.run.Row(schemas.Key("demo", user))
	var e schemas.Row
	if err := e.UnmarshalVT(b); err != nil {
		s.t.Fatal(err)
	}
	if until := e.WakeMs - s.run.Now().UnixMilli(); len(b) > most || e.WakeMs != 0 && until < identity.PointerRenew.Milliseconds() {
		s.t.Errorf("%s: the row has %d bytes, and is to wake at %d", s.line, len(b), e.WakeMs)
	}
}

func (s *story) deliver(at time.Time, name, status string) {
	a := s.actions[name]
	if a == nil {
		s.t.Fatalf("%s: no action of %s yet", s.line, name)
	}
	s.run.Advance(at.Sub(s.run.Now()))
	s.last = func() {
		proctest.Send(s.run, topics.Deliveries, schemas.Key(a.Tenant, a.User), &schemas.Delivery{
			ActionId: a.Id, Tenant: a.Tenant, User: a.User, Campaign: a.Campaign, Channel: a.Channel, Status: status,
			TimeMs: at.UnixMilli(), MatchId: a.MatchId, Version: a.Version, Variant: a.Variant,
		})
	}
}

// check compares what came out with what the line wants.
func (s *story) check(want string) {
	got, actions := proctest.Take(s.run, topics.Verdicts), proctest.Take(s.run, topics.Actions)
	if facts := s.run.TakeFacts(topics.Facts); len(facts) > 1 {
		s.t.Errorf("%s: %d facts", s.line, len(facts))
	}
	var wanted []string
	if want = strings.TrimSpace(want); want != "" {
		wanted = strings.Split(want, ",")
	}
	if len(got) != len(wanted) {
		s.t.Errorf("%s: %d verdicts came: %v", s.line, len(got), got)
		return
	}
	for i, v := range got {
		if fault := compare(v, strings.TrimSpace(wanted[i])); fault != "" {
			s.t.Errorf("%s: %s: %v", s.line, fault, v)
		}
		if v.Verdict != Sent || bytes.Contains(v.Detail, []byte(`"shadow":true`)) {
			continue
		}
		if len(actions) == 0 || actions[0].Id != v.ActionId || actions[0].MatchId != v.MatchId || actions[0].Campaign != v.Campaign {
			s.t.Errorf("%s: no action for %v: %v", s.line, v, actions)
			return
		}
		s.actions[v.Campaign] = actions[0]
		actions = actions[1:]
	}
	if len(actions) > 0 {
		s.t.Errorf("%s: actions without a verdict: %v", s.line, actions)
	}
}

// compare says how a verdict differs from VERDICT [CAMPAIGN] [(IDS)] [{DETAIL}]; empty: it does not.
func compare(v *schemas.Verdict, want string) string {
	want, detail, _ := strings.Cut(want, "{")
	for _, part := range strings.Split(strings.TrimSuffix(detail, "}"), ";") {
		if part = strings.TrimSpace(part); part != "" && !bytes.Contains(v.Detail, []byte(part)) {
			return fmt.Sprintf("detail %s does not hold %s", v.Detail, part)
		}
	}
	want, ids, hasIDs := strings.Cut(want, "(")
	if ids = strings.TrimSuffix(strings.TrimSpace(ids), ")"); hasIDs && strings.Join(v.EventIds, " ") != ids {
		return fmt.Sprintf("its events are %v, want %s", v.EventIds, ids)
	}
	words := append(strings.Fields(want), "")
	if v.Verdict != words[0] {
		return fmt.Sprintf("verdict %s, want %s", v.Verdict, words[0])
	}
	if words[1] != "" && v.Campaign != words[1] {
		return fmt.Sprintf("campaign %s, want %s", v.Campaign, words[1])
	}
	return ""
}
