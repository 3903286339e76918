package processors

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Turn is one step of one user. It belongs to one goroutine and dies when the step returns;
// nothing leaves it before that.
type Turn[S any] struct {
	// Key is tenant/user.
	Key string
	// Now is the record's time (the deadline's, in Wake), UTC; it never goes back for a row.
	Now time.Time
	// At says where the record lies; in Wake only the partition is set.
	At schemas.Coordinates
	// State is the user's row, live: change it in place.
	State *S

	call *Call
	wake int64
	gone bool
	same bool
}

// WakeAt asks for a wake at a time; the last call wins. The zero time cancels. A time not after
// Now means one millisecond after Now.
func (t *Turn[S]) WakeAt(at time.Time) {
	if at.IsZero() {
		t.wake = 0
		return
	}
	t.wake = max(at.UnixMilli(), t.Now.UnixMilli()+1)
}

// Deadline is what WakeAt was last given; the zero time when there is none.
func (t *Turn[S]) Deadline() time.Time {
	if t.wake == 0 {
		return time.Time{}
	}
	return time.UnixMilli(t.wake).UTC()
}

// Forget deletes the user's row, deadline and all, when the turn ends.
func (t *Turn[S]) Forget() { t.gone = true }

// Same says that the step left the row as it was, so that nothing is written.
func (t *Turn[S]) Same() { t.same = true }

// Act emits an action on a channel. Its id is derived from key, id and Now: the same on a replay.
func (t *Turn[S]) Act(id, channel string) {
	tenant, user := schemas.SplitKey(t.Key)
	now := t.Now.UnixMilli()
	Emit(t, topics.Actions, t.Key, &schemas.Action{
		Id: DeriveID(t.Key, id, strconv.FormatInt(now, 10)), Tenant: tenant, User: user, Campaign: id, Channel: channel, DecidedMs: now,
	})
}

// DeriveID makes an id of 32 hex digits from parts: the first half of SHA-256 over the parts, each
// led by its length.
func DeriveID(parts ...string) string {
	b := make([]byte, 0, 512) // on the stack; longer parts move it
	for _, p := range parts {
		b = append(append(strconv.AppendInt(b, int64(len(p)), 10), ':'), p...)
	}
	sum := sha256.Sum256(b)
	var digits [32]byte
	hex.Encode(digits[:], sum[:16])
	return string(digits[:])
}

// Emit sends a record when the turn ends, in the transaction that commits it. The topic must be
// among the processor's Outputs.
func Emit[T, S any](t *Turn[S], to topics.Topic[T], key string, v T) {
	b, err := to.Codec.Append(nil, v)
	if err != nil {
		panic(fmt.Sprintf("processors: emit to %s: %v", to.Name, err))
	}
	e := Emission{Topic: to.Spec, Key: key, Value: b}
	if to.Spec == t.call.def.Loop {
		e.TimeMS = t.Now.UnixMilli()
	}
	t.call.Out = append(t.call.Out, e)
}

// Delete sends a tombstone for a key to a compacted topic, as Emit does a record: the brokers delete what is
// under the key when they compact, and readers of the topic hear of it at once.
func Delete[T, S any](t *Turn[S], from topics.Topic[T], key string) {
	if !from.Compact || key == "" {
		panic(fmt.Sprintf("processors: %s deletes %q from %s, which is not compacted, or for which that is no key", t.call.def.Name, key, from.Name))
	}
	t.call.Out = append(t.call.Out, Emission{Topic: from.Spec, Key: key})
}

// Loop sends a message to another key of the same processor, through the topic that topics.Loop made for
// it, which must be among its Inputs. It is stepped later, in order per sender and key, exactly once, at
// this turn's Now; or at the row's own time where that is later.
func Loop[T, S any](t *Turn[S], loop topics.Topic[T], key string, v T) {
	if def := t.call.def; loop.Spec != def.Loop {
		panic(fmt.Sprintf("processors: %s is not among the inputs of %s as its loop", loop.Name, def.Name))
	}
	if key == "" {
		panic(fmt.Sprintf("processors: %s sends a message through its loop to nobody", t.call.def.Name))
	}
	Emit(t, loop, key, v)
}

// factsAtOnce is how many facts are made room for at a time.
const factsAtOnce = 16

// NewFact is a fact to fill in and emit. Facts of several turns lie in one piece of memory.
func NewFact[S any](t *Turn[S]) *schemas.Fact {
	c := t.call
	if len(c.facts) == 0 {
		c.facts = make([]schemas.Fact, factsAtOnce)
	}
	f := &c.facts[0]
	c.facts = c.facts[1:]
	return f
}

// EmitFact sends a fact; the runtime packs the facts of a transaction and partition into blocks.
func EmitFact[S any](t *Turn[S], to topics.Blocks, f *schemas.Fact) {
	t.call.Out = append(t.call.Out, Emission{Topic: to.Spec, Item: f})
}

// Look returns the view of a whole topic that is in force in this turn. It must be among the
// processor's Whole and must not be changed.
func Look[T, V, S any](t *Turn[S], w *Whole[T, V]) V {
	for i, d := range t.call.def.Whole {
		if d.AnyWhole == AnyWhole(w) {
			return t.call.Views[i].(V)
		}
	}
	panic(fmt.Sprintf("processors: %s looks at %s without declaring it", t.call.def.Name, w.Topic.Name))
}
