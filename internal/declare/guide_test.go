package declare

import (
	"os"
	"regexp"
	"testing"

	"github.com/dwellhq/dwell/processors/engage/campaign"
)

func TestTheFilesInTheGuideOfAudiencesAreTaken(t *testing.T) {
	guide, err := os.ReadFile("../../docs/audiences.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(guide, -1)
	n := 0
	for _, b := range blocks {
		f, err := campaign.ParseFile("audiences.md", b[1])
		if err != nil {
			t.Errorf("%v\nin\n%s", err, b[1])
			continue
		}
		n += len(Documents(*f))
	}
	if n != 5 {
		t.Errorf("the guide shows %d documents", n)
	}
}
