package exposure

import (
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Processor keeps the ledger by DefaultPolicy.
var Processor = New(DefaultPolicy())

// interval of commits: the ledger is read for totals, nobody waits for an entry.
const commitInterval = 200 * time.Millisecond

// New declares the processor "exposure" with a policy; it panics on one that does not validate.
//
// For each frame an entry goes out for every fill whose whole seconds of exposure advanced, that
// became viewable, or that closed. A fill that was never seen has one entry, its closing one: that it
// was served is a fact too. Entries of a fill telescope: sec_from is the sec_to before, n counts from 1,
// totals are cumulative. Their ids are unique per user, the same on every replay, and no interval of
// commits, restart or late wake changes them.
//
// Frames of a user whom an operator has erased are passed over. A frame that is invalid, does not fit its key, came twice or is late for a closed page view leaves
// the row as it is and no trace; pure code has nothing to count with. The raw log still has it.
func New(p Policy) *processors.Def {
	m, err := NewMachine(p)
	if err != nil {
		panic("exposure: " + err.Error())
	}
	return processors.Define(processors.Processor[schemas.ExposureRow]{
		Name:     "exposure",
		Inputs:   []processors.Input[schemas.ExposureRow]{processors.On(topics.Frames, m.onFrame), processors.On(topics.Erasures, onErasure)},
		Outputs:  []*topics.Spec{topics.Exposures.Spec},
		Wake:     m.onWake,
		Row:      schemas.Proto[schemas.ExposureRow, *schemas.ExposureRow]{},
		Interval: commitInterval,
		Journal:  true,
	})
}

func (m Machine) onFrame(t *processors.Turn[schemas.ExposureRow], f *schemas.Frame) {
	if t.State.SuppressedMs != 0 {
		t.Same()
		return
	}
	if f.ReceivedMs == 0 { // no gateway took it
		f.ReceivedMs = t.Now.UnixMilli()
	}
	entries, changed := m.Frame(t.State, t.Key, t.At, f)
	if !changed {
		t.Same()
		return
	}
	m.end(t, entries)
}

// onErasure forgets a user; of one whose frames must not count from now on a marker stays. Entries that
// went out stay, and fills that were open get no closing entry.
func onErasure(t *processors.Turn[schemas.ExposureRow], e *schemas.Erasure) {
	if t.Key != schemas.Key(e.Tenant, e.User) || e.Suppressed && t.State.SuppressedMs != 0 {
		t.Same()
		return
	}
	if !e.Suppressed {
		t.Forget()
		return
	}
	t.State.Reset()
	t.State.SuppressedMs = max(1, t.Now.UnixMilli())
	t.WakeAt(time.Time{})
}

func (m Machine) onWake(t *processors.Turn[schemas.ExposureRow]) {
	entries := m.Tick(t.State, t.Key, t.At, t.Now.UnixMilli())
	if m.end(t, entries); m.Spent(t.State) {
		t.Forget()
	}
}

func (m Machine) end(t *processors.Turn[schemas.ExposureRow], entries []*schemas.Exposure) {
	for _, e := range entries {
		processors.Emit(t, topics.Exposures, t.Key, e)
	}
	at := time.Time{}
	if ms := m.Deadline(t.State); ms != 0 {
		at = time.UnixMilli(ms)
	}
	t.WakeAt(at)
}
