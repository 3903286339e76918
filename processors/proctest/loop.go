package proctest

import "slices"

// rounds bounds how many messages one record may send round the loop.
const rounds = 10_000

// goRound steps what was sent through the loop, and what that sends.
func (r *Run) goRound() {
	r.t.Helper()
	for n := 0; len(r.loop) > 0; n++ {
		e := r.loop[0]
		r.loop = r.loop[1:]
		if n == rounds {
			r.t.Fatalf("proctest: %s sent %d messages through its loop, and more wait: does it end?", r.def.Name, n)
		}
		if err := r.deliver(slices.Index(r.def.Inputs, e.Topic), e.TimeMS, e.Key, e.Value); err != nil {
			r.t.Fatalf("proctest: loop: %v", err)
		}
	}
}
