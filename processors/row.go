package processors

import (
	"fmt"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// row is a decoded row: the user's state in its envelope.
type row[S any] struct {
	state  *S
	wakeMS int64
	timeMS int64
	newer  []byte // fields that a newer version's envelope has, to be kept
}

// turn runs step on the call's row and puts the outcome back into the call.
func turn[S any](c *Call, step func(*Turn[S], []byte) error) error {
	r, _ := c.Row.(*row[S])
	if r == nil {
		r = &row[S]{state: new(S)}
	}
	now := max(c.NowMS, r.timeMS) // logical time never goes back for a row
	t, _ := c.turn.(*Turn[S])
	if t == nil { // the first step of this Call
		t = new(Turn[S])
		c.turn = t
	}
	*t = Turn[S]{Key: c.Key, Now: time.UnixMilli(now).UTC(), At: c.At, State: r.state, call: c, wake: r.wakeMS}
	if err := step(t, c.Value); err != nil {
		return err
	}
	switch {
	case t.gone:
		c.Changed = c.Changed || c.Row != nil
		c.Row = nil
	case !t.same:
		r.wakeMS, r.timeMS = t.wake, now
		c.Row, c.Changed = r, true
	}
	return nil
}

// codecOf wraps the codec of S in the envelope schemas.Row.
func codecOf[S any](states schemas.Codec[*S]) rowCodec {
	states = codecOr(states)
	var envelope schemas.Proto[schemas.Row, *schemas.Row]
	return rowCodec{
		decode: func(b []byte) (any, error) {
			e, err := envelope.Decode(b)
			if err != nil {
				return nil, fmt.Errorf("row: %w", err)
			}
			s, err := states.Decode(e.State)
			if err != nil {
				return nil, fmt.Errorf("row state: %w", err)
			}
			return &row[S]{state: s, wakeMS: e.WakeMs, timeMS: e.TimeMs, newer: e.Newer()}, nil
		},
		append: func(dst []byte, v any) ([]byte, error) {
			r := v.(*row[S])
			b := schemas.AppendRowHead(dst, r.wakeMS, r.timeMS)
			head := len(b)
			b, err := states.Append(b, r.state)
			if err != nil {
				return dst, fmt.Errorf("row state: %w", err)
			}
			return append(schemas.EndRow(b, head), r.newer...), nil
		},
		times: func(v any) (wakeMS, timeMS int64) {
			r := v.(*row[S])
			return r.wakeMS, r.timeMS
		},
		unwake: func(v any) {
			r := v.(*row[S])
			r.wakeMS, r.timeMS = 0, max(r.wakeMS, r.timeMS)
		},
	}
}

// State is the user's state in a row that a Def decoded or stepped, to look at and not to change; nil
// when there is no row or it is of another type.
func State[S any](decoded any) *S {
	if r, ok := decoded.(*row[S]); ok && r != nil {
		return r.state
	}
	return nil
}
