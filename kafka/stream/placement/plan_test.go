package placement

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// after are the members once they have what a plan gave them.
func after(members []Member, shares []Share, generation int32) []Member {
	out := make([]Member, len(members))
	for i, m := range members {
		out[i] = Member{ID: m.ID, Generation: generation, Claims: map[int32]Claim{}}
		for p, c := range m.Claims {
			out[i].Claims[p] = min(c, Stale)
		}
		for _, p := range shares[i].Stand {
			out[i].Claims[p] = Copy
		}
		for _, p := range shares[i].Own {
			out[i].Claims[p] = Owned
		}
	}
	return out
}

func crew(n int) (all []Member) {
	for i := range n {
		all = append(all, Member{ID: fmt.Sprint("worker-", i)})
	}
	return all
}

// owners checks what holds for every plan, and returns who owns what.
func owners(t *rapid.T, members []Member, shares []Share, partitions, copies int) map[int32]string {
	owner, stands := map[int32]string{}, map[int32]int{}
	least, most := partitions, 0
	for i, s := range shares {
		least, most = min(least, len(s.Own)), max(most, len(s.Own))
		for _, p := range s.Own {
			if who, twice := owner[p]; twice {
				t.Fatalf("%s and %s own %d", who, members[i].ID, p)
			}
			owner[p] = members[i].ID
		}
		for j, p := range s.Stand {
			stands[p]++
			if slices.Contains(s.Own, p) || slices.Contains(s.Stand[:j], p) {
				t.Fatalf("%s owns %v and stands by for %v", members[i].ID, s.Own, s.Stand)
			}
		}
	}
	if len(owner) != partitions || most-least > 1 {
		t.Fatalf("%d of %d partitions are owned, %d to %d each", len(owner), partitions, least, most)
	}
	for p := range int32(partitions) {
		if want := min(copies, len(members)-1); stands[p] != want {
			t.Fatalf("partition %d has %d standbys, want %d", p, stands[p], want)
		}
	}
	return owner
}

func TestTakeOverMeetsACopyAndMovesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, partitions, copies := rapid.IntRange(1, 7).Draw(t, "members"), rapid.IntRange(1, 40).Draw(t, "partitions"), rapid.IntRange(0, 3).Draw(t, "copies")
		members := crew(n)
		for g := range int32(rapid.IntRange(1, 6).Draw(t, "changes")) {
			shares := Plan(members, partitions, copies)
			before := owners(t, members, shares, partitions, copies)
			members = after(members, shares, g)
			for i, again := range Plan(members, partitions, copies) {
				if !slices.Equal(again.Own, shares[i].Own) || copies == 1 && !slices.Equal(again.Stand, shares[i].Stand) {
					t.Fatalf("planned again: %s gets %v, before %v", members[i].ID, again, shares)
				}
			}
			if len(members) == 1 || rapid.Bool().Draw(t, "join") {
				members = append(members, Member{ID: fmt.Sprint("late-", g)})
				continue
			}
			i := rapid.IntRange(0, len(members)-1).Draw(t, "dead")
			dead := members[i].ID
			members = slices.Delete(slices.Clone(members), i, i+1)
			next := Plan(members, partitions, copies)
			for p, who := range owners(t, members, next, partitions, copies) {
				old := before[p]
				m := members[slices.IndexFunc(members, func(m Member) bool { return m.ID == who })]
				switch {
				case old == dead && copies > 0 && m.Claims[p] != Copy:
					t.Fatalf("%s takes %d over from %s without a copy: %v", who, p, dead, shares)
				case old != dead && old != who:
					t.Fatalf("partition %d moved from %s to %s when %s died", p, old, who, dead)
				}
			}
		}
	})
}

func TestWhoComesBackGetsWhatItKnows(t *testing.T) {
	members := crew(2)
	first := Plan(members, 8, 1)
	members = after(members, first, 1)
	alone := Plan(members[:1], 8, 1)
	if len(alone[0].Own) != 8 || len(alone[0].Stand) != 0 {
		t.Fatalf("alone: %+v", alone)
	}
	back := []Member{after(members[:1], alone, 2)[0], {ID: members[1].ID, Claims: map[int32]Claim{}}}
	for _, p := range first[1].Own {
		back[1].Claims[p] = Stale
	}
	if got := Plan(back, 8, 1); fmt.Sprint(got) != fmt.Sprint(first) {
		t.Errorf("after it came back: %v, before it went: %v", got, first)
	}
}

// A zombie still claims what another has taken over since.
func TestTheLaterOwnerIsRight(t *testing.T) {
	members := []Member{
		{ID: "zombie", Generation: 4, Claims: map[int32]Claim{0: Owned, 1: Owned}},
		{ID: "heir", Generation: 5, Claims: map[int32]Claim{0: Owned}},
	}
	if got := Plan(members, 2, 0); !slices.Equal(got[1].Own, []int32{0}) {
		t.Errorf("%+v", got)
	}
}

func TestRendezvousSpreads(t *testing.T) {
	n := map[string]int{}
	for p := range 3000 {
		best, most := "", uint64(0)
		for _, m := range crew(3) {
			if w := weight(m.ID, p); w > most {
				best, most = m.ID, w
			}
		}
		n[best]++
	}
	for id, k := range n {
		if k < 850 || k > 1150 {
			t.Errorf("%s is first for %d of 3000", id, k)
		}
	}
}

func TestMembersAgreeThroughTheGroup(t *testing.T) {
	holds := []map[int32]Claim{nil, {0: Copy, 1: Copy, 2: Stale, 3: Nothing}}
	var members []kmsg.JoinGroupResponseMember
	var all []*Balancer
	for i, id := range []string{"x", "y"} {
		b := NewBalancer(1, func() map[int32]Claim { return holds[i] })
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.InstanceID = id+"-member", &id
		m.ProtocolMetadata = b.JoinGroupMetadata([]string{"a", "b"}, nil, -1)
		all, members = append(all, b), append(members, m)
	}
	mb, reads, err := all[0].MemberBalancer(members)
	if err != nil || len(reads) != 2 {
		t.Fatalf("topics %v, %v", reads, err)
	}
	plan, err := mb.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{"a": 4, "b": 4})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range plan.IntoSyncAssignment() {
		got, err := all[i].ParseSyncAssignment(a.MemberAssignment)
		want := []Share{{[]int32{2, 3}, []int32{0, 1}}, {[]int32{0, 1}, []int32{2, 3}}}[i]
		if err != nil || a.MemberID != members[i].MemberID || fmt.Sprint(all[i].last()) != fmt.Sprint(want) {
			t.Errorf("%s got %+v %v, want %+v", a.MemberID, all[i].last(), err, want)
		}
		if !slices.Equal(got["a"], want.Own) || !slices.Equal(got["b"], want.Own) {
			t.Errorf("%s owns %v", a.MemberID, got)
		}
	}
}

func TestWhatAnotherVersionSaysIsNoClaim(t *testing.T) {
	for _, b := range [][]byte{nil, {2, 1, 1}, {1, 0x80}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if c := decodeClaims(b); len(c) != 0 {
			t.Errorf("%v: %v", b, c)
		}
	}
	if c := decodeClaims(encodeClaims(map[int32]Claim{7: Owned, 900: Stale})); len(c) != 2 || c[7] != Owned || c[900] != Stale {
		t.Errorf("%v", c)
	}
}

// What another balancer gave counts as owned from then on, and has no standbys; what ours gives next has.
func TestWhatAnotherBalancerGaveIsOwned(t *testing.T) {
	b := NewBalancer(1, func() map[int32]Claim { return nil })
	given := func(own, stand []int32) {
		if _, err := b.ParseSyncAssignment(encodeShare(Share{own, stand}, []string{"a"}, map[string]int32{"a": 8})); err != nil {
			t.Fatal(err)
		}
	}
	given([]int32{1, 2}, []int32{5})
	for i, c := range []struct {
		give      *Share // by our balancer
		own       []int32
		stand     []int32
		claimedAs string
	}{
		{nil, []int32{2, 1}, []int32{5}, "map[1:3 2:3]"},
		{nil, []int32{1, 2}, nil, "map[1:3 2:3]"}, // the same by chance
		{nil, []int32{7}, nil, "map[7:3]"},
		{&Share{[]int32{3}, []int32{7}}, []int32{3}, []int32{7}, "map[3:3]"},
		{&Share{[]int32{4}, []int32{7}}, []int32{6}, nil, "map[6:3]"}, // ours never came into force
	} {
		if c.give != nil {
			given(c.give.Own, c.give.Stand)
		}
		if got := b.Took(c.own); !slices.Equal(got, c.stand) {
			t.Errorf("%d: stands by for %v, want %v", i, got, c.stand)
		}
		var meta kmsg.ConsumerMemberMetadata
		if err := meta.ReadFrom(b.JoinGroupMetadata([]string{"a"}, nil, 1)); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(decodeClaims(meta.UserData)); got != c.claimedAs {
			t.Errorf("%d: claims %s, want %s", i, got, c.claimedAs)
		}
	}
}
