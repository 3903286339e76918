// Package profile keeps what is known of one user in the user's row: what identify calls said, the
// versions of uploaded audiences that the user is in, and computed traits, which sum up the user's
// events. A row's part goes in and is changed in place; every size is bounded.
package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/schemas"
)

// Bounds of what a row keeps of identify calls.
const (
	// MaxTraits is how many traits are kept of a user, MaxTraitsBytes how many bytes of names and values
	// in all.
	MaxTraits      = 64
	MaxTraitsBytes = 4 << 10
	// MaxTraitBytes bounds one value, as JSON.
	MaxTraitBytes = 512
)

// Learn takes over those traits of an identify call that wanted names; null takes one away. It returns
// those that were not kept because they are too long or too many, by name: of such a trait nothing is
// known then. What is no JSON object says nothing.
func Learn(p *schemas.ProfileState, traits []byte, wanted func(name string) bool) (over []string) {
	var said map[string]json.RawMessage
	if json.Unmarshal(traits, &said) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if !wanted(name) {
			continue
		}
		i, found := find(p, name)
		if found {
			p.Traits = slices.Delete(p.Traits, i, i+1)
		}
		value := said[name]
		if string(value) == "null" {
			continue
		}
		var b bytes.Buffer
		if json.Compact(&b, value) != nil || b.Len() > MaxTraitBytes || len(p.Traits) >= MaxTraits || traitsBytes(p)+len(name)+b.Len() > MaxTraitsBytes {
			over = append(over, name)
			continue
		}
		p.Traits = slices.Insert(p.Traits, i, &schemas.UserTrait{Name: name, Value: b.Bytes()})
	}
	return over
}

func traitsBytes(p *schemas.ProfileState) int {
	n := 0
	for _, t := range p.Traits {
		n += len(t.Name) + len(t.Value)
	}
	return n
}

// Said is what identify calls said of the user under a name; false: nothing that is kept. A nil state
// knows nothing.
func Said(p *schemas.ProfileState, name string) (any, bool) {
	i, found := find(p, name)
	if !found {
		return nil, false
	}
	return predicate.ParseValue(p.Traits[i].Value)
}

// Unlearn drops the traits that wanted does not name.
func Unlearn(p *schemas.ProfileState, wanted func(name string) bool) {
	p.Traits = slices.DeleteFunc(p.Traits, func(t *schemas.UserTrait) bool { return !wanted(t.Name) })
}

// Empty says that nothing is known. A nil state is empty.
func Empty(p *schemas.ProfileState) bool {
	return len(p.GetTraits())+len(p.GetListIds())+len(p.GetComputed()) == 0
}

func find(p *schemas.ProfileState, name string) (int, bool) {
	return slices.BinarySearchFunc(p.GetTraits(), name, func(t *schemas.UserTrait, name string) int { return strings.Compare(t.Name, name) })
}

// Adopt takes over from another row of the same person, such as that of an anonymous id: traits that p
// does not have, and the newer versions of lists. Computed traits stay what they are: they come of
// events, and those are stepped again.
func Adopt(p, from *schemas.ProfileState) {
	for _, t := range from.GetTraits() {
		i, found := find(p, t.Name)
		if !found && len(p.Traits) < MaxTraits && traitsBytes(p)+len(t.Name)+len(t.Value) <= MaxTraitsBytes {
			p.Traits = slices.Insert(p.Traits, i, t)
		}
	}
	for i, id := range from.GetListIds() {
		join(p, id, from.ListVersions[i])
	}
}

// Check says why no step can have left such a state.
func Check(p *schemas.ProfileState) error {
	var faults []error
	fault := func(bad bool, format string, a ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("profile: "+format, a...))
		}
	}
	fault(len(p.GetTraits()) > MaxTraits, "%d traits", len(p.GetTraits()))
	for i, t := range p.GetTraits() {
		fault(i > 0 && p.Traits[i-1].Name >= t.Name, "trait %q out of order", t.Name)
	}
	lists := len(p.GetListIds())
	fault(lists != len(p.GetListVersions()) || lists > MaxLists || !slices.IsSorted(p.GetListIds()), "%d lists with %d versions", lists, len(p.GetListVersions()))
	for i, c := range p.GetComputed() {
		fault(i > 0 && p.Computed[i-1].Definition >= c.Definition, "computed trait %x out of order", c.Definition)
		n := len(c.Offsets)
		fits := func(k int) bool { return k == 0 || k == n }
		fault(!slices.IsSorted(c.Offsets) || n > MaxEntries || !fits(len(c.Counts)) || !fits(len(c.Numbers)) || !fits(len(c.Values)) || !fits(len(c.TimesMs)) || !fits(len(c.Hashes)) || c.Level > 50,
			"computed trait %x: %d entries with %d counts, %d numbers, %d values, %d times and %d hashes", c.Definition, n, len(c.Counts), len(c.Numbers), len(c.Values), len(c.TimesMs), len(c.Hashes))
	}
	return errors.Join(faults...)
}

// hash is FNV-1a with a last mix for even bits, the same everywhere and for ever: rows remember it.
func hash(s string) uint64 {
	f := fnv.New64a()
	f.Write([]byte(s))
	h := f.Sum64()
	h ^= h >> 32
	h *= 0x9fb21c651e98df25
	return h ^ h>>28
}
