package exposure

import (
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func TestAnErasedUsersFramesCountNothingUntilThatIsLifted(t *testing.T) {
	r := proctest.New(t, Processor)
	look := func(user string) int {
		page := "pv" + r.Now().String()
		sendRun(r, func(f *schemas.Frame) { f.User, f.PageView = user, page })
		return len(proctest.Take(r, topics.Exposures))
	}
	erase := func(user string, suppressed bool) {
		proctest.Send(r, topics.Erasures, schemas.Key("acme", user), &schemas.Erasure{Tenant: "acme", User: user, Suppressed: suppressed})
	}
	if look("ann") == 0 {
		t.Fatal("the frames make no entries: nothing is proved")
	}
	erase("ann", true)
	marker := r.Row("acme/ann")
	if len(marker) > 24 || len(marker) == 0 {
		t.Errorf("the row has %d bytes", len(marker))
	}
	if n := look("ann"); n != 0 || string(r.Row("acme/ann")) != string(marker) {
		t.Errorf("%d entries of an erased user", n)
	}
	if look("bob") == 0 {
		t.Error("somebody else's frames do not count")
	}
	erase("ann", true) // once more
	r.Advance(48 * time.Hour)
	if n := len(proctest.Take(r, topics.Exposures)); string(r.Row("acme/ann")) != string(marker) {
		t.Errorf("the marker is gone, with %d entries", n)
	}
	erase("ann", false)
	if r.Row("acme/ann") != nil {
		t.Error("the marker stays")
	}
	if look("ann") == 0 {
		t.Error("frames do not count after it was lifted")
	}
	erase("bob", false) // an id that pointed to an erased user: forgotten, and free to come again
	if r.Row("acme/bob") != nil {
		t.Error("the row of the id stays")
	}
}
