package proctest

import (
	"slices"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// WantActions takes the actions and fails the test unless they have these ids, in order: what Turn.Act
// was given, or the campaigns.
func (r *Run) WantActions(ids ...string) {
	r.t.Helper()
	var got []string
	for _, a := range Take(r, topics.Actions) {
		got = append(got, a.Campaign)
	}
	if !slices.Equal(got, ids) {
		r.t.Errorf("actions %q, want %q", got, ids)
	}
}

// TakeDeleted returns and forgets the keys that were deleted from the topic.
func TakeDeleted[T any](r *Run, topic topics.Topic[T]) []string {
	var keys []string
	r.out = slices.DeleteFunc(r.out, func(e processors.Emission) bool {
		gone := e.Topic == topic.Spec && e.Value == nil
		if gone {
			keys = append(keys, e.Key)
		}
		return gone
	})
	return keys
}

// Take returns, decoded, and forgets what was emitted to the topic, tombstones apart.
func Take[T any](r *Run, topic topics.Topic[T]) []T {
	r.t.Helper()
	var got []T
	r.out = slices.DeleteFunc(r.out, func(e processors.Emission) bool {
		if e.Topic != topic.Spec || e.Value == nil {
			return false
		}
		v, err := topic.Codec.Decode(e.Value)
		if err != nil {
			r.t.Fatalf("proctest: decode from %s: %v", topic.Name, err)
		}
		got = append(got, v)
		return true
	})
	return got
}

// TakeFacts returns and forgets what was emitted to a topic of blocks.
func (r *Run) TakeFacts(topic topics.Blocks) []*schemas.Fact {
	var got []*schemas.Fact
	r.out = slices.DeleteFunc(r.out, func(e processors.Emission) bool {
		if e.Topic != topic.Spec {
			return false
		}
		got = append(got, e.Item.(*schemas.Fact))
		return true
	})
	return got
}
