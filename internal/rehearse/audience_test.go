package rehearse

import (
	"os"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// The gate AUDIENCE in a rehearsal: traits of identify and computed traits are stepped as they are live.
func TestARehearsalKnowsTraitsAndAudiences(t *testing.T) {
	source, err := os.ReadFile("../../processors/engage/testdata/campaigns/trends.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list := "apiVersion: dwell/v1\nkind: Audience\nmetadata: {name: vip}\nspec: {list: true}\n"
	member := strings.NewReplacer("name: cashback", "name: members", "[big_spenders]", "[vip]").Replace(string(source[strings.LastIndex(string(source), "---\napiVersion: dwell/v1\nkind: Campaign\nmetadata: {name: cashback}"):]))
	member = member[:strings.LastIndex(member, "---")] // without the campaign after it
	file, err := campaign.ParseFile("trends.yaml", []byte(string(source)+"---\n"+list+member))
	if err != nil {
		t.Fatal(err)
	}
	var decisions strings.Builder
	r, err := NewOf("demo", *file, &decisions)
	if err != nil {
		t.Fatal(err)
	}
	log := strings.Join([]string{
		`{"type":"identify","messageId":"1","userId":"ann","timestamp":"2026-11-01T10:00:00Z","traits":{"country":"GB"}}`,
		`{"type":"track","event":"deposit","messageId":"2","userId":"ann","timestamp":"2026-11-01T10:00:01Z","properties":{"amount":300}}`,
		`{"type":"track","event":"deposit","messageId":"3","userId":"ann","timestamp":"2026-11-01T10:00:02Z","properties":{"amount":300}}`,
		`{"type":"track","event":"deposit","messageId":"3","userId":"ann","timestamp":"2026-11-01T10:00:02Z","properties":{"amount":300}}`,
		`{"type":"track","event":"deposit","messageId":"4","userId":"bob","timestamp":"2026-11-01T10:00:03Z","properties":{"amount":900}}`,
	}, "\n")
	report, err := r.File(strings.NewReader(log), 4)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]int64{"cashback": {2, 1}, "members": {3, 0}, "explorer": {0, 0}}
	for _, c := range report.Campaigns {
		if got := [2]int64{c.Verdicts[engage.Outside], c.Verdicts[engage.Sent]}; got != want[c.Name] {
			t.Errorf("%s: %v kept back and sent, want %v", c.Name, got, want[c.Name])
		}
	}
	for _, part := range []string{`"failed":"include"`, `"deposits_7d":300`, `"failed":"where"`, `"list_version":1`} {
		if !strings.Contains(decisions.String(), part) {
			t.Errorf("no decision says %s:\n%s", part, decisions.String())
		}
	}
	if len(report.Campaigns) != len(want) {
		t.Errorf("%d campaigns", len(report.Campaigns))
	}
}
