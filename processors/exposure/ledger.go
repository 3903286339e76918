package exposure

import (
	"strconv"
	"strings"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// emit writes a ledger entry: what the fill came to so far.
func (s *step) emit(v *schemas.ExposureView, fill *schemas.ExposureFill, closed bool) {
	from := fill.Sec
	fill.N++
	fill.Sec = fill.ExposedMs / 1000
	s.out = append(s.out, &schemas.Exposure{
		Id: entryID(v.PageView, fill.Slot, fill.Fill, fill.N), Tenant: s.tenant, User: s.user,
		PageView: v.PageView, Slot: fill.Slot, Fill: fill.Fill, N: fill.N,
		Campaign: fill.Campaign, Creative: fill.Creative, Placement: fill.Placement,
		SecFrom: from, SecTo: fill.Sec,
		ExposedMs: fill.ExposedMs, FullMs: fill.FullMs, EngagedMs: fill.EngagedMs, MaxRunMs: fill.MaxRunMs,
		TailMs: fill.TailMs, OverlapMs: fill.OverlapMs,
		Viewable: fill.Viewable, ViewableCtMs: fill.ViewableCtMs, BillableS: s.policy.billable(fill),
		FirstSeq: fill.FirstSeq, LastSeq: fill.LastSeq, Closed: closed, Flags: flags(fill.Flags).names(), RulesHash: s.hash,
		StartedMs: fill.StartedMs, UpdatedMs: s.row.TimeMs,
		SrcTopic: topics.Frames.Name, SrcPartition: s.at.Partition, SrcOffset: v.SrcOffset,
	})
}

// billable is whole seconds, of viewable fills only, up to the cap.
func (p *Policy) billable(fill *schemas.ExposureFill) int64 {
	if !fill.Viewable {
		return 0
	}
	if sec := fill.ExposedMs / 1000; p.CapS == 0 || sec < p.CapS {
		return sec
	}
	return p.CapS
}

// escape keeps the slashes of an id apart from those of its parts.
var escape = strings.NewReplacer("%", "%25", "/", "%2F")

// entryID is page_view/slot/fill/n, unique within the user; a slash in a part is %2F, a percent %25.
func entryID(pageView, slot, fill string, n uint32) string {
	return escape.Replace(pageView) + "/" + escape.Replace(slot) + "/" + escape.Replace(fill) + "/" + strconv.FormatUint(uint64(n), 10)
}
