package placement

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// Claim says what a member has of a partition; more is better.
type Claim uint8

// The claims, in rising order. Their numbers travel between workers of different versions.
const (
	// Nothing: the table would have to be read whole.
	Nothing Claim = iota
	// Stale is a store that nobody has kept up to date.
	Stale
	// Copy follows the table: only the tail is missing.
	Copy
	// Owned is the partition that the member had until now.
	Owned
)

// Member is one instance of a group.
type Member struct {
	// ID is the same after a restart.
	ID string
	// Generation of the group in which it got what it owns: of two that claim one partition, the
	// later is right.
	Generation int32
	Claims     map[int32]Claim
}

// Share is what one member gets: partitions to own, and partitions to stand by for.
type Share struct{ Own, Stand []int32 }

// Plan shares partitions out, in the order of members, and depends on nothing else. All own equally
// many, give or take one. Within that a partition stays with its owner, else goes to who has the most
// of it, else where rendezvous hashing of its number and the members' ids says. Each partition has up
// to copies standbys: the first is the member that would own it if its owner were gone, the second
// the one if both were, and so on. So a take-over always meets a copy.
func Plan(members []Member, partitions, copies int) []Share {
	shares := make([]Share, len(members))
	gone := make([]bool, len(members))
	own := share(members, gone, partitions)
	for p, m := range own {
		if m >= 0 {
			shares[m].Own = append(shares[m].Own, int32(p))
		}
	}
	heirs := inheritance{now: settled(members, own), gone: gone, partitions: partitions, shares: shares}
	for m := range members {
		heirs.name(m, shares[m].Own, min(copies, len(members)-1))
	}
	for m := range shares {
		slices.Sort(shares[m].Stand)
	}
	return shares
}

// settled are the members as they will be once they have what they got.
func settled(members []Member, own []int) []Member {
	now := make([]Member, len(members))
	for i, m := range members {
		claims := map[int32]Claim{}
		for p, c := range m.Claims {
			claims[p] = min(c, Copy)
		}
		now[i] = Member{ID: m.ID, Claims: claims}
	}
	for p, m := range own {
		if m >= 0 {
			now[m].Claims[int32(p)] = Owned
		}
	}
	return now
}

// inheritance names who would own what if members were gone.
type inheritance struct {
	now        []Member
	gone       []bool
	partitions int
	shares     []Share
}

// name gives each of a member's partitions copies standbys.
func (h *inheritance) name(member int, parts []int32, copies int) {
	if copies <= 0 || len(parts) == 0 {
		return
	}
	h.gone[member] = true
	defer func() { h.gone[member] = false }()
	then := share(h.now, h.gone, h.partitions)
	byHeir := map[int][]int32{}
	for _, p := range parts {
		byHeir[then[p]] = append(byHeir[then[p]], p)
	}
	for heir, list := range byHeir {
		h.shares[heir].Stand = append(h.shares[heir].Stand, list...)
		h.name(heir, list, copies-1)
	}
}

// draft is a plan in the making.
type draft struct {
	members []Member
	gone    []bool
	owner   []int // by partition; -1: nobody yet
	load    []int // by member
	floor   int   // what everybody may own
	extra   int   // how many members may own one more
}

// share returns the owner of each partition; -1 for all when nobody is left.
func share(members []Member, gone []bool, partitions int) []int {
	d := &draft{members: members, gone: gone, owner: make([]int, partitions), load: make([]int, len(members))}
	left := 0
	for m := range members {
		if !gone[m] {
			left++
		}
	}
	for p := range d.owner {
		d.owner[p] = -1
	}
	if left == 0 {
		return d.owner
	}
	d.floor, d.extra = partitions/left, partitions%left
	d.keep()
	for _, c := range []Claim{Copy, Stale, Nothing} {
		d.hand(c)
	}
	return d.owner
}

func (d *draft) room(m int) bool {
	return !d.gone[m] && (d.load[m] < d.floor || d.load[m] == d.floor && d.extra > 0)
}

func (d *draft) give(p, m int) {
	if d.load[m] == d.floor {
		d.extra--
	}
	d.owner[p] = m
	d.load[m]++
}

// keep leaves partitions with their owners. Who must give some away gives those that another member
// knows best; the one with the most keeps the odd ones.
func (d *draft) keep() {
	held := make([][]int, len(d.members))
	order := make([]int, len(d.members))
	for p := range d.owner {
		if m := d.incumbent(int32(p)); m >= 0 {
			held[m] = append(held[m], p)
		}
	}
	for m := range order {
		order[m] = m
		slices.SortStableFunc(held[m], func(a, b int) int { return cmp.Compare(d.wanted(a, m), d.wanted(b, m)) })
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(held[b]), len(held[a])) })
	for _, m := range order {
		for _, p := range held[m] {
			if d.room(m) {
				d.give(p, m)
			}
		}
	}
}

// incumbent is who owned a partition last; -1: nobody that is here.
func (d *draft) incumbent(p int32) int {
	best := -1
	for m := range d.members {
		if d.gone[m] || d.members[m].Claims[p] != Owned {
			continue
		}
		if best < 0 || d.members[m].Generation > d.members[best].Generation {
			best = m
		}
	}
	return best
}

// wanted is the best claim of the others to a partition.
func (d *draft) wanted(p, owner int) (c Claim) {
	for m := range d.members {
		if m != owner && !d.gone[m] {
			c = max(c, d.members[m].Claims[int32(p)])
		}
	}
	return c
}

// hand gives every partition that is left to a member with at least this claim and room, as many as
// can be: to the one with the highest weight, unless its place is the only one that another can have.
func (d *draft) hand(least Claim) {
	var given []int
	for p := range d.owner {
		if d.owner[p] < 0 && d.place(p, least, given, make([]bool, len(d.members))) {
			given = append(given, p)
		}
	}
}

// place finds a member for p; it may move what hand has given before. Members tried are not tried again.
func (d *draft) place(p int, least Claim, given []int, tried []bool) bool {
	best, most := -1, uint64(0)
	for m := range d.members {
		if !d.room(m) || d.members[m].Claims[int32(p)] < least {
			continue
		}
		if w := weight(d.members[m].ID, p); best < 0 || w > most {
			best, most = m, w
		}
	}
	if best >= 0 {
		d.give(p, best)
		return true
	}
	for m := range d.members {
		if tried[m] || d.gone[m] || d.members[m].Claims[int32(p)] < least {
			continue
		}
		tried[m] = true
		for _, q := range given {
			if d.owner[q] == m && d.place(q, least, given, tried) {
				d.owner[p] = m // whose load stays as it was
				return true
			}
		}
	}
	return false
}

// weight is of rendezvous hashing: the member with the most gets the partition.
func weight(id string, p int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	x := h.Sum64() ^ (uint64(p)+1)*0x9e3779b97f4a7c15
	for range 2 { // spread: neighbours differ in few bits
		x ^= x >> 31
		x *= 0xbf58476d1ce4e5b9
	}
	return x ^ x>>29
}
