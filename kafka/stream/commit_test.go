package stream

import (
	"errors"
	"testing"

	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/kafka/stream/table"
)

// A session can end while a transaction is about to: goka closes its partitions one by one. The client
// would still commit the offsets of all of them.
func TestNothingIsCommittedWithoutAllPartitions(t *testing.T) {
	cfg := DefaultConfig()
	cfg.InstanceID = "a"
	p, err := New(cfg, counting("half", numbers("half.in"), numbers("half.out")))
	if err != nil {
		t.Fatal(err)
	}
	s := p.newSession(map[string][]int32{"half.in": {0, 1}}, "member", 1, nil)
	p.parts[0] = table.New(p.shared, 0, store.Memory())
	s.cancel()
	m := &member{p: p} // no client: whoever reaches for it panics
	var l *lost
	if err := m.commit(s); !errors.As(err, &l) || !errors.Is(err, errHost) {
		t.Errorf("commit of half of the partitions: %v", err)
	}
}
