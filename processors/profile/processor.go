// Package profile keeps everything that identify calls said of each user, for those who read profiles
// outside of dwell: updates go in, the whole profile comes out whenever it changed. The Decider does not
// read it; what decisions need is in its own row.
package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Bounds of one profile. What would go beyond them is left out; what is there stays.
const (
	// MaxTraits is how many traits a profile has, MaxBytes how many bytes as JSON.
	MaxTraits = 1000
	MaxBytes  = 64 << 10
)

// Processor is what a worker runs.
var Processor = processors.Define(processors.Processor[schemas.Profile]{
	Name:    "profile",
	Inputs:  []processors.Input[schemas.Profile]{processors.On(topics.Traits, onUpdate)},
	Outputs: []*topics.Spec{topics.Profiles.Spec},
	Row:     schemas.Proto[schemas.Profile, *schemas.Profile]{},
})

// onUpdate merges one update into the profile. The newest value of a trait wins, by the log's order; null
// takes it away. A profile that was erased, or has nothing left, is deleted where it went out, and so readers
// learn of it; an erasure says so even of one that is not there, for those that went out empty.
func onUpdate(t *processors.Turn[schemas.Profile], u *schemas.TraitUpdate) {
	tenant, user := schemas.SplitKey(t.Key)
	if u.Tenant != tenant || u.User != user { // of another key: the Decider writes none such
		t.Same()
		return
	}
	p := t.State
	before := p.Traits
	if u.Erased {
		p.Traits = nil
	}
	p.Traits = merge(p.Traits, u.Traits)
	switch {
	case len(p.Traits) == 0 && (len(before) > 0 || u.Erased):
		t.Forget()
		processors.Delete(t, topics.Profiles, t.Key)
		return
	case bytes.Equal(before, p.Traits):
		t.Same()
		return
	}
	p.Tenant, p.User, p.UpdatedMs = tenant, user, t.Now.UnixMilli()
	processors.Emit(t, topics.Profiles, t.Key, p)
}

// merge returns an object with what was said changed in it, its names in order; nil when nothing is left.
// What is no JSON object says nothing.
func merge(traits, said []byte) []byte {
	var old, changes map[string]json.RawMessage
	if len(traits) > 0 {
		if err := json.Unmarshal(traits, &old); err != nil {
			panic(fmt.Sprintf("profile: a row's traits: %v", err)) // this function made them
		}
	}
	if json.Unmarshal(said, &changes) != nil {
		return traits
	}
	if old == nil {
		old = map[string]json.RawMessage{}
	}
	size := len(traits)
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		value := changes[name]
		if string(value) == "null" {
			size -= len(old[name])
			delete(old, name)
			continue
		}
		was, there := old[name]
		grows := len(value) - len(was)
		if !there {
			grows += len(name) + len(`"":,`)
		}
		if size+grows > MaxBytes || !there && len(old) >= MaxTraits {
			continue
		}
		old[name], size = value, size+grows
	}
	if len(old) == 0 {
		return nil
	}
	b, err := json.Marshal(old)
	if err != nil {
		panic(fmt.Sprintf("profile: traits: %v", err)) // they were JSON
	}
	return b
}
