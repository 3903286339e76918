package profile

import (
	"slices"

	"github.com/dwellhq/dwell/schemas"
)

// MaxLists is how many versions of uploaded audiences are kept of a user. One more takes the place of
// the oldest version, by its number.
const MaxLists = 512

// Join puts the user into a version of an uploaded audience. Doing so again changes nothing; false:
// nothing changed.
func Join(p *schemas.ProfileState, audience string, version int64) bool {
	return join(p, hash(audience), version)
}

func join(p *schemas.ProfileState, id uint64, version int64) bool {
	i, found := slices.BinarySearch(p.ListIds, id)
	for ; found && i < len(p.ListIds) && p.ListIds[i] == id; i++ {
		if p.ListVersions[i] == version {
			return false
		}
	}
	p.ListIds, p.ListVersions = slices.Insert(p.ListIds, i, id), slices.Insert(p.ListVersions, i, version)
	if len(p.ListIds) > MaxLists {
		oldest := 0
		for i, v := range p.ListVersions {
			if v < p.ListVersions[oldest] {
				oldest = i
			}
		}
		p.ListIds, p.ListVersions = slices.Delete(p.ListIds, oldest, oldest+1), slices.Delete(p.ListVersions, oldest, oldest+1)
	}
	return true
}

// In says whether the user is in a version of an uploaded audience. In a nil state it is in none.
func In(p *schemas.ProfileState, audience string, version int64) bool {
	id := hash(audience)
	i, found := slices.BinarySearch(p.GetListIds(), id)
	for ; found && i < len(p.ListIds) && p.ListIds[i] == id; i++ {
		if p.ListVersions[i] == version {
			return true
		}
	}
	return false
}

// ListID is what a row keeps of an audience's name.
func ListID(audience string) uint64 { return hash(audience) }

// Leave drops the versions of lists that are over: below the least that counts of each list; of a list
// that is declared no more, least is above all.
func Leave(p *schemas.ProfileState, least func(id uint64) int64) {
	kept := 0
	for i, id := range p.GetListIds() {
		if p.ListVersions[i] >= least(id) {
			p.ListIds[kept], p.ListVersions[kept] = id, p.ListVersions[i]
			kept++
		}
	}
	if p != nil {
		p.ListIds, p.ListVersions = p.ListIds[:kept], p.ListVersions[:kept]
	}
}
