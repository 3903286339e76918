package declare

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors/engage/campaign"
)

const body = `
  trigger:
    pattern: {count: {event: bet, times: 1}}   # state: live
  channels: [{type: popup, content: x}]
`

func mustParse(t *testing.T, source string) *campaign.Campaign {
	t.Helper()
	all, err := campaign.Parse("a.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestStateChangesAndNothingElseDoes(t *testing.T) {
	const head = "# state: live, says a comment\napiVersion: dwell/v1\nkind: Campaign\nmetadata: {name: a, tags: ['state: live']}\n"
	for name, files := range map[string][2]string{
		"plain":        {head + "spec:\n  state: live      # for now\n" + body, head + "spec:\n  state: paused      # for now\n" + body},
		"quoted":       {head + "spec:\n  \"state\" :   'live'\n" + body, head + "spec:\n  \"state\" :   'paused'\n" + body},
		"next line":    {head + "spec:\n  state:\n    live\n" + body, head + "spec:\n  state:\n    paused\n" + body},
		"windows":      {strings.ReplaceAll(head+"spec:\n  state: live\n"+body, "\n", "\r\n"), strings.ReplaceAll(head+"spec:\n  state: paused\n"+body, "\n", "\r\n")},
		"no last line": {head + "spec:\n" + strings.Trim(body, "\n") + "\n  state: live", head + "spec:\n" + strings.Trim(body, "\n") + "\n  state: paused"},
		"flow": {
			`{apiVersion: dwell/v1, kind: Campaign, metadata: {name: a}, spec: {slot: "state: live", state: live, trigger: {pattern: {count: {event: e, times: 1}}}, channels: [{type: popup, content: x}]}}`,
			`{apiVersion: dwell/v1, kind: Campaign, metadata: {name: a}, spec: {slot: "state: live", state: paused, trigger: {pattern: {count: {event: e, times: 1}}}, channels: [{type: popup, content: x}]}}`,
		},
	} {
		c, err := WithState(mustParse(t, files[0]), campaign.Paused)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(c.Source) != files[1] || c.State != campaign.Paused {
			t.Errorf("%s: %s\n%s", name, c.State, c.Source)
		}
		back, err := WithState(c, campaign.Live)
		if err != nil || string(back.Source) != files[0] || back.Version != mustParse(t, files[0]).Version {
			t.Errorf("%s: it does not come back: %v", name, err)
		}
	}
}

func TestStateThatIsNotFoundIsAFaultAndNoGuess(t *testing.T) {
	c := mustParse(t, "apiVersion: dwell/v1\nkind: Campaign\nmetadata: {name: a}\nspec:\n  \"st\\x61te\": live\n"+body)
	if next, err := WithState(c, campaign.Paused); err == nil || !strings.Contains(err.Error(), "spec.state") {
		t.Errorf("%v, %v", next, err)
	}
	if same, err := WithState(c, campaign.Live); err != nil || !bytes.Equal(same.Source, c.Source) {
		t.Errorf("the same state: %v", err)
	}
}

func TestOnlyTheMovesOfALifeAreAllowed(t *testing.T) {
	states := []campaign.State{campaign.Draft, campaign.Shadow, campaign.Live, campaign.Paused, campaign.Archived}
	allowed := map[[2]campaign.State]bool{
		{campaign.Draft, campaign.Shadow}: true, {campaign.Shadow, campaign.Live}: true, {campaign.Live, campaign.Paused}: true,
		{campaign.Paused, campaign.Live}: true, {campaign.Paused, campaign.Archived}: true,
	}
	for _, from := range states {
		for _, to := range states {
			err := CheckMove("a", from, to)
			if ok := from == to || allowed[[2]campaign.State{from, to}]; ok != (err == nil) {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			if err != nil && !strings.Contains(err.Error(), "delete") {
				t.Errorf("%s to %s says not what to do: %v", from, to, err)
			}
		}
	}
}

func TestDiffShowsWhatChanged(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"a\nb\n", "a\nb\n", ""},
		{"", "a\nb\n", "+ a\n+ b\n"},
		{"a\n", "", "- a\n"},
		{"a\nb\nc\n", "a\nB\nc\n", "  a\n- b\n+ B\n  c\n"},
		{"1\n2\n3\n4\n5\nx\n7\n8\n9\n10\n11\n", "1\n2\n3\n4\n5\n7\n8\n9\n10\n11\n", "  3\n  4\n  5\n- x\n  7\n  8\n  9\n"},
		{"x\n1\n2\n3\n4\n5\n6\n7\n8\ny\n", "X\n1\n2\n3\n4\n5\n6\n7\n8\nY\n", "- x\n+ X\n  1\n  2\n  3\n  ...\n  6\n  7\n  8\n- y\n+ Y\n"},
	} {
		if got := Diff([]byte(c.before), []byte(c.after)); got != c.want {
			t.Errorf("%q to %q:\n%s", c.before, c.after, got)
		}
	}
	long := strings.Repeat("a\n", 5000)
	if got := Diff([]byte("x\n"+long+"y"), []byte("z\n"+strings.Repeat("b\n", 5000)+"w")); strings.Count(got, "\n") != 10_004 {
		t.Errorf("two long texts: %d lines", strings.Count(got, "\n"))
	}
}
