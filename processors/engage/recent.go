package engage

import (
	"math"
	"slices"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// What a row remembers of the ids that were stepped.
const (
	// RecentIDs is how many ids are remembered; the oldest make room.
	RecentIDs = 512
	// RecentFor is how long an id is remembered, by record time.
	RecentFor = 7 * 24 * time.Hour
)

// firstSeen remembers an id and says whether it is new. now is the record's time. Ids are told
// apart by 64 bits: among 512, two meet once in 10^14 events.
func firstSeen(row *schemas.EngageRow, id uint64, now time.Time) bool {
	s, oldest := seconds(now), seconds(now.Add(-RecentFor))
	drop, _ := slices.BinarySearch(row.RecentS, oldest)
	row.RecentIds, row.RecentS = row.RecentIds[drop:], row.RecentS[drop:]
	if slices.Contains(row.RecentIds, id) {
		return false
	}
	// Sliding along a slice moves its ids only when its capacity ends, once in hundreds of events.
	over := max(0, len(row.RecentIds)+1-RecentIDs)
	row.RecentIds = append(row.RecentIds[over:], id)
	row.RecentS = append(row.RecentS[over:], s)
	return true
}

// eventHash and deliveryHash are what a row remembers of an event and of a channel's answer.
func eventHash(id string) uint64 { return hashOf("e", id) }

func deliveryHash(action, status string) uint64 { return hashOf("d:"+action, status) }

// seconds is Unix time as a row keeps it, up to the year 2106.
func seconds(t time.Time) uint32 { return uint32(min(max(0, t.Unix()), math.MaxUint32)) }
