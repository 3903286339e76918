package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// piped runs a tool of the binary with standard input; it must end well.
func (s *site) piped(input string, args ...string) string {
	s.t.Helper()
	cmd := s.tool(args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("dwell %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// turned runs a tool of the binary that must refuse, and checks what it says.
func (s *site) turned(want string, args ...string) {
	s.t.Helper()
	out, err := s.tool(args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		s.t.Errorf("dwell %s: %v, no word of %q in\n%s", strings.Join(args, " "), err, want, out)
	}
}

// holds checks what a tool printed.
func holds(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("no word of %q in\n%s", w, out)
		}
	}
}

// sent is the number of SENT verdicts of the campaign on a user.
func sent(user string) string {
	return fmt.Sprintf("SELECT count() FROM verdicts WHERE tenant='demo' AND campaign='three-pings' AND verdict='SENT' AND user='%s'", user)
}

// TestACampaignBuiltInGoLivesItsWholeLife takes a campaign from Go through every command, with a gateway,
// a worker and a sink in processes of their own: what a command says holds for the next event.
func TestACampaignBuiltInGoLivesItsWholeLife(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	threePings := func(times int) string {
		b := campaign.New("three-pings").Tags("test").When(campaign.Count(campaign.Event("ping"), times).Within(10 * time.Minute)).
			Send(campaign.Popup("popup/ping").Title("Three: pings"))
		y, err := b.YAML()
		if err != nil {
			t.Fatal(err)
		}
		return string(y)
	}
	holds(t, s.piped(threePings(3), "apply", "-f", "/dev/stdin", "--dry-run"), "campaign/three-pings created")
	holds(t, s.dwell("get", "campaigns", "-o", "name"), "campaign/hot-streak") // the demo's own
	if strings.Contains(s.dwell("get", "campaigns", "-o", "name"), "three-pings") {
		t.Error("a dry run has published")
	}
	holds(t, s.piped(threePings(3), "apply", "-f", "/dev/stdin"), "campaign/three-pings created", "in force in 1 worker(s)")
	holds(t, s.piped(threePings(3), "apply", "-f", "/dev/stdin"), "campaign/three-pings unchanged")
	s.track("ann", 0, 3)
	s.eventually(sent("ann"), "1")

	yaml := s.dwell("get", "campaigns", "-o", "yaml")
	holds(t, yaml, threePings(3))
	holds(t, s.piped(yaml, "apply", "-f", "/dev/stdin", "--dry-run"), "three-pings unchanged", "hot-streak unchanged")
	holds(t, s.dwell("describe", "campaign", "three-pings"), "live", `title: "Three: pings"`)
	holds(t, s.piped(threePings(2), "diff", "-f", "/dev/stdin"), "three-pings changed", "-", "times: 3", "+", "times: 2")

	s.track("bob", 0, 2)
	holds(t, s.piped(threePings(2), "apply", "-f", "/dev/stdin"), "campaign/three-pings changed", "in force in 1 worker(s)")
	s.track("bob", 2, 3) // keep: the two before count
	s.eventually(sent("bob"), "1")

	s.turned("cannot become archived", "campaign", "archive", "three-pings")
	holds(t, s.dwell("campaign", "pause", "three-pings"), "campaign/three-pings paused", "in force in 1 worker(s)")
	holds(t, s.dwell("campaign", "pause", "three-pings"), "is paused already")
	s.track("carl", 0, 3)
	holds(t, s.dwell("campaign", "resume", "three-pings"), "campaign/three-pings live", "in force in 1 worker(s)")
	s.track("dora", 0, 2)
	s.eventually(sent("dora"), "1") // carl's events lie before hers in the log only by partition, so all are waited for
	s.eventually("SELECT count() FROM events WHERE tenant='demo' AND user='carl'", "3")
	s.track("carl", 3, 4)
	s.track("carl", 4, 5)
	s.eventually(sent("carl"), "1") // by the two after the pause alone
	s.eventually("SELECT arraySort(groupUniqArrayArray(event_ids)) FROM verdicts WHERE tenant='demo' AND campaign='three-pings' AND verdict='SENT' AND user='carl'", "['m3','m4']")

	s.dwell("campaign", "pause", "three-pings")
	holds(t, s.dwell("campaign", "archive", "three-pings"), "campaign/three-pings archived")
	s.turned("does not come back", "campaign", "resume", "three-pings")
	holds(t, s.dwell("delete", "campaign", "three-pings"), "campaign/three-pings deleted")
	if strings.Contains(s.dwell("get", "campaigns", "-o", "name"), "three-pings") {
		t.Error("it is listed after it was deleted")
	}
	holds(t, s.dwell("describe", "campaign", "three-pings"), "deleted", "archived", "paused", "live")
	file := filepath.Join(t.TempDir(), "again.yaml")
	if err := os.WriteFile(file, []byte(threePings(2)), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, s.dwell("apply", "-f", file), "campaign/three-pings created")
}
