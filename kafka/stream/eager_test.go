package stream

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// knowsOnlyRange makes an instance one of a version that has not heard of our balancer.
func (w *world) knowsOnlyRange(instance string) {
	w.fake.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.fake.KeepControl()
		if join := r.(*kmsg.JoinGroupRequest); join.InstanceID != nil && *join.InstanceID == instance {
			join.Protocols = slices.DeleteFunc(join.Protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name != "range" })
		}
		return nil, nil, false
	})
}

// protocol is what a processor's group goes by.
func (w *world) protocol(r *running) string {
	w.t.Helper()
	groups, err := w.adm.DescribeGroups(w.t.Context(), r.group)
	if err != nil {
		w.t.Fatal(err)
	}
	return groups[r.group].Protocol
}

// numbersOf are the partitions of an instance.
func (r *running) numbersOf() (own []int32) {
	for _, p := range r.Status().Partitions {
		own = append(own, p.Number)
	}
	slices.Sort(own)
	return own
}

// While an older member is there that knows only Kafka's own way to share, eager and by ranges, the whole
// group goes by that: all of them work, each partition has one owner, nobody stands by. When it has left,
// the group shares as we do, and nobody gives away what it has.
func TestMemberThatKnowsOnlyRangeIsLivedWith(t *testing.T) {
	w := newWorld(t, fake(t))
	def, in, out := w.counting()
	const users, part = 100, 1000
	w.knowsOnlyRange("z-old")
	start := func(name string) *running {
		cfg := w.config(name)
		cfg.Dir = t.TempDir()
		return w.run(cfg, def)
	}
	sent := 0
	more := func() { w.sendNumbers(in, sent, sent+part, users); sent += part }
	stepped := func() {
		t.Helper()
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64(sent) })
	}
	b := start("y")
	b.untilReady() // and keeps the first partitions, which ranges give to the first member
	a := start("x")
	until(t, "two share", func() bool { return a.Ready() && b.Ready() && a.owned() == 2 && b.owned() == 2 })
	more()
	stepped()
	until(t, "copies", func() bool { return w.copied(a, 2) && w.copied(b, 2) })
	first := a.numbersOf()
	more() // while the old one joins
	old := start("z-old")
	until(t, "three share", func() bool {
		all := slices.Concat(a.numbersOf(), b.numbersOf(), old.numbersOf())
		slices.Sort(all)
		return a.Ready() && b.Ready() && old.Ready() && old.owned() > 0 && slices.Equal(all, []int32{0, 1, 2, 3})
	})
	more()
	stepped()
	if got := w.protocol(a); got != "range" {
		t.Errorf("with an old member the group goes by %q", got)
	}
	until(t, "nobody stands by", func() bool {
		return len(a.Status().Standbys)+len(b.Status().Standbys)+len(old.Status().Standbys) == 0
	})
	before := map[*running][]int32{a: a.numbersOf(), b: b.numbersOf()}
	if slices.Contains(before[a], first[0]) && slices.Contains(before[a], first[1]) {
		t.Errorf("both ways give %v: what follows shows nothing", first)
	}
	more() // while it leaves
	old.stop()
	until(t, "two share again", func() bool {
		return a.Ready() && b.Ready() && a.owned() == 2 && b.owned() == 2 && w.copied(a, 2) && w.copied(b, 2)
	})
	more()
	stepped()
	if got := w.protocol(a); got != "dwell" {
		t.Errorf("after it left the group goes by %q", got)
	}
	for r, had := range before {
		for _, n := range had {
			if !slices.Contains(r.numbersOf(), n) {
				t.Errorf("%s had %v, and has %v", r.cfg.InstanceID, had, r.numbersOf())
			}
		}
	}
	a.stop()
	b.stop()
	w.checkCounts(def, out, sent, users)
}
