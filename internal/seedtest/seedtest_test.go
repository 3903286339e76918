package seedtest_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/dwellhq/dwell/internal/seedtest"
)

// heard is a test that keeps what is logged, and goes on after its end.
type heard struct {
	testing.TB
	said  string
	ended bool
}

func (h *heard) Helper()                        {}
func (h *heard) Logf(format string, a ...any)   { h.said += fmt.Sprintf(format, a...) }
func (h *heard) Fatalf(format string, a ...any) { h.ended = true }

func TestTheSeedOfAFailureIsUsedAgain(t *testing.T) {
	t.Setenv("DWELL_SEED", "")
	first, second := &heard{TB: t}, &heard{TB: t}
	drawn := seedtest.Draw(first)
	for drawn == seedtest.Draw(second) { // until the clock moves
		*second = heard{TB: t}
	}
	if first.said != fmt.Sprintf("DWELL_SEED=%d", drawn) || first.ended {
		t.Errorf("%d says %q", drawn, first.said)
	}
	for text, want := range map[string]uint64{"0": 0, "18446744073709551615": math.MaxUint64} {
		t.Setenv("DWELL_SEED", text)
		h := &heard{TB: t}
		if got := seedtest.Draw(h); got != want || h.said != "DWELL_SEED="+text || h.ended {
			t.Errorf("%s: %d, says %q", text, got, h.said)
		}
	}
	for _, text := range []string{"-1", "x", "18446744073709551616"} {
		t.Setenv("DWELL_SEED", text)
		h := &heard{TB: t}
		if seedtest.Draw(h); !h.ended {
			t.Errorf("%q is taken for a seed", text)
		}
	}
}
