package exposure

import (
	"slices"

	"github.com/dwellhq/dwell/schemas"
)

// maxSpans bounds the stretches of credited time that a user's row tells apart.
const maxSpans = 32

// piece is [from, to), milliseconds on one clock.
type piece struct{ from, to int64 }

// free returns the parts of [from, to) that no span holds, in order. The spans are ascending and apart.
func free(spans []*schemas.ExposureSpan, from, to int64) []piece {
	var out []piece
	for _, s := range spans {
		if s.ToMs <= from {
			continue
		}
		if s.FromMs >= to || from >= to {
			break
		}
		if s.FromMs > from {
			out = append(out, piece{from, s.FromMs})
		}
		from = s.ToMs
	}
	if from < to {
		out = append(out, piece{from, to})
	}
	return out
}

// cover adds [from, to) to the spans, which stay ascending and apart. The two oldest become one, and the
// hole between them counts as earned by nobody, while that hole lies before the horizon or there are
// more than maxSpans. So no second is ever earned twice, however many stretches a client makes, and
// a late honest frame loses nothing as long as it comes within the horizon.
func cover(spans []*schemas.ExposureSpan, from, to, horizon int64) []*schemas.ExposureSpan {
	if from >= to {
		return spans
	}
	i := 0
	for i < len(spans) && spans[i].ToMs < from {
		i++
	}
	j := i
	for ; j < len(spans) && spans[j].FromMs <= to; j++ {
		from, to = min(from, spans[j].FromMs), max(to, spans[j].ToMs)
	}
	if j == i {
		spans = slices.Insert(spans, i, &schemas.ExposureSpan{FromMs: from, ToMs: to})
	} else {
		spans[i].FromMs, spans[i].ToMs = from, to
		spans = slices.Delete(spans, i+1, j)
	}
	n := 0
	for len(spans)-n > 1 && (spans[n+1].FromMs <= horizon || len(spans)-n > maxSpans) {
		spans[n+1].FromMs = spans[n].FromMs
		n++
	}
	return slices.Delete(spans, 0, n)
}
