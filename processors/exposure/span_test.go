package exposure

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/dwellhq/dwell/schemas"
)

// The oracle is a bitmap of milliseconds.
func TestNoMillisecondIsFreeTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const size = 3000
		var earned [size]bool
		var spans []*schemas.ExposureSpan
		n, horizon := rapid.IntRange(1, 120).Draw(r, "spans"), int64(rapid.IntRange(0, size).Draw(r, "horizon"))
		for range n {
			from := rapid.Int64Range(0, size-60).Draw(r, "from")
			to := from + rapid.Int64Range(0, 59).Draw(r, "length")
			for _, p := range free(spans, from, to) {
				for ms := p.from; ms < p.to; ms++ {
					if earned[ms] {
						r.Fatalf("ms %d would be earned twice", ms)
					}
				}
			}
			spans = cover(spans, from, to, horizon)
			for ms := from; ms < to; ms++ {
				earned[ms] = true
			}
			for i, s := range spans {
				if s.FromMs >= s.ToMs || i > 0 && s.FromMs <= spans[i-1].ToMs {
					r.Fatalf("span %d of %v is out of order", i, spans)
				}
			}
			if len(spans) > maxSpans {
				r.Fatalf("%d spans", len(spans))
			}
			held := map[int64]bool{}
			for _, p := range free(spans, 0, size) {
				for ms := p.from; ms < p.to; ms++ {
					held[ms] = true
				}
			}
			for ms := range int64(size) {
				if earned[ms] && held[ms] {
					r.Fatalf("ms %d was earned and is free", ms)
				}
			}
		}
	})
}

func TestWithinTheHorizonTheUnionIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const size, horizon = 2000, 1000
		var earned [size]bool
		var spans []*schemas.ExposureSpan
		for range rapid.IntRange(1, maxSpans-1).Draw(r, "spans") { // never too many
			from := rapid.Int64Range(0, size-100).Draw(r, "from")
			to := from + rapid.Int64Range(1, 100).Draw(r, "length")
			spans = cover(spans, from, to, horizon)
			for ms := from; ms < to; ms++ {
				earned[ms] = true
			}
		}
		// A hole that the horizon cuts counts as before it only when its end lies there.
		at := int64(horizon)
		for at < size && !earned[at] {
			at++
		}
		pieces, next := free(spans, at, size), at
		for _, p := range append(pieces, piece{size, size}) {
			for ; next < p.from; next++ {
				if !earned[next] {
					r.Fatalf("ms %d is taken by nobody: %v", next, spans)
				}
			}
			next = p.to
		}
	})
}
