package trigger

import (
	"testing"
	"time"
)

func TestReentrySpansItsModes(t *testing.T) {
	day := Reentry{Mode: Cooldown, Every: 24 * time.Hour}
	at := int64(1_000_000)
	end := at + day.Every.Milliseconds()
	for _, c := range []struct {
		name  string
		gate  Reentry
		spent Spent
		ms    int64
		want  bool
	}{
		{"zero means always", Reentry{}, Spent{3, at}, at, true},
		{"always", Reentry{Mode: Always}, Spent{3, at}, at, true},
		{"once, unspent", Reentry{Mode: Once}, Spent{}, at, true},
		{"once, spent", Reentry{Mode: Once}, Spent{1, at}, end * 10, false},
		{"cooldown, unspent", day, Spent{}, at, true},
		{"cooldown, a millisecond short", day, Spent{1, at}, end - 1, false},
		{"cooldown, over", day, Spent{1, at}, end, true},
		{"cooldown, a late match before the last", day, Spent{1, at}, at - 5, false},
	} {
		if got := c.gate.Allows(c.spent, c.ms); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if got := day.UntilMS(Spent{1, at}); got != end {
		t.Errorf("cooldown ends at %d, want %d", got, end)
	}
}

func TestShadowTakesNoSlotFromTheLive(t *testing.T) {
	rivals := []Contender{{"a", true}, {"a", false}, {"a", true}, {"a", false}, {"", false}, {"", false}, {"b", true}, {"b", false}}
	want := []int{0, 1, 0, 1, 4, 5, 6, 7}
	for i := range rivals {
		if got := Winner(rivals, i); got != want[i] {
			t.Errorf("contender %d loses to %d, want %d", i, got, want[i])
		}
	}
}
