package table

import (
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/kafka/stream/store"
)

// goka indexes the deadlines in a goroutine of its own, which may come after the group has taken the
// partition away: pebble panics when a closed store is read.
func TestReadyAfterCloseIsAnError(t *testing.T) {
	s, err := store.Open(t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := New(shared(time.Now), 3, s)
	if err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Ready of a closed partition: %v", err)
	}
}
