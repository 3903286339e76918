package exposure

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/dwellhq/dwell/schemas"
)

const (
	// maxClosed is how many closed page views a row remembers.
	maxClosed = 32
	// keepMS is how long it remembers them.
	keepMS = 24 * 60 * 60 * 1000
)

// viewHash names a page view in the list of closed ones.
func viewHash(pageView string) uint64 {
	sum := sha256.Sum256([]byte(pageView))
	return binary.BigEndian.Uint64(sum[:])
}

// isClosed says whether the page view is among those that closed last.
func isClosed(row *schemas.ExposureRow, pageView string) bool {
	if len(row.Closed) == 0 {
		return false
	}
	h := viewHash(pageView)
	return slices.ContainsFunc(row.Closed, func(c *schemas.ExposureClosed) bool { return c.View == h })
}

// remember puts a page view among the closed ones and forgets those that are too many or too old.
// One that goes before its time raises the row's floor, which keeps its late frames out.
func remember(row *schemas.ExposureRow, pageView string) {
	row.Closed = append(row.Closed, &schemas.ExposureClosed{View: viewHash(pageView), ClosedMs: row.TimeMs})
	n := 0
	for _, c := range row.Closed {
		old := c.ClosedMs+keepMS <= row.TimeMs
		if !old && len(row.Closed)-n <= maxClosed {
			break
		}
		if !old {
			row.FloorMs = max(row.FloorMs, c.ClosedMs)
		}
		n++
	}
	row.Closed = slices.Delete(row.Closed, 0, n)
}

// forgotten says whether a page view, by its first frame that is applied, may be one that closed and
// was forgotten; it must not begin again, for its ledger ids are taken. By seq 0 a page view begins
// now; by a later one it may be as old as the page, whose clock began at est − ect.
func forgotten(row *schemas.ExposureRow, f *schemas.Frame) bool {
	if f.Seq == 0 && f.EstMs == 0 {
		return false
	}
	floor := max(row.FloorMs, f.ReceivedMs-keepMS)
	born := f.EstMs - f.EctMs
	if f.EstMs == 0 { // no server time: not younger than its page at the time of receipt
		born = f.ReceivedMs - f.CtMs
	}
	if f.Seq == 0 {
		born += f.CtMs
	}
	return born < floor
}
