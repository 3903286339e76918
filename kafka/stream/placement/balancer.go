package placement

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// protocol is the balancer's name in the group: members that know it need not know each other's version.
const protocol = "dwell"

// Balancer is a kgo.GroupBalancer that plans with Plan. Members tell the leader what they have of
// each partition, and learn from it what to own and what to stand by for. A partition's number is
// owned in all inputs at once. One Balancer belongs to one client.
type Balancer struct {
	copies int
	holds  func() map[int32]Claim

	mu    sync.Mutex
	share Share
	fresh bool // share was given, and Took has not seen it yet
}

// NewBalancer makes one that asks for copies standbys of each partition, if the group has enough
// members. holds tells what this member has besides what it owns; it must not block.
func NewBalancer(copies int, holds func() map[int32]Claim) *Balancer {
	return &Balancer{copies: copies, holds: holds}
}

// last is what the group gave last.
func (b *Balancer) last() Share {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.share
}

// Took is told what the group assigned, whoever shared it out: a group with members that do not know this
// balancer goes by another one, which knows no standbys, and what this member said it owns is not so any
// more. It returns the partitions to stand by for.
func (b *Balancer) Took(own []int32) (stand []int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sorted := slices.Sorted(slices.Values(own))
	if !b.fresh || !slices.Equal(b.share.Own, sorted) {
		b.share = Share{Own: sorted}
	}
	b.fresh = false
	return b.share.Stand
}

// ProtocolName implements kgo.GroupBalancer.
func (*Balancer) ProtocolName() string { return protocol }

// IsCooperative implements kgo.GroupBalancer.
func (*Balancer) IsCooperative() bool { return false }

// JoinGroupMetadata implements kgo.GroupBalancer.
func (b *Balancer) JoinGroupMetadata(topics []string, _ map[string][]int32, generation int32) []byte {
	claims := maps.Clone(b.holds())
	if claims == nil {
		claims = map[int32]Claim{}
	}
	for _, p := range b.last().Own {
		claims[p] = Owned
	}
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics, meta.Generation, meta.UserData = 3, topics, generation, encodeClaims(claims)
	return meta.AppendTo(nil)
}

// ParseSyncAssignment implements kgo.GroupBalancer.
func (b *Balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	assigned, err := kgo.ParseConsumerSyncAssignment(assignment)
	if err != nil {
		return nil, err
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(assignment); err != nil {
		return nil, err
	}
	var s Share
	for _, numbers := range assigned {
		s.Own = append(s.Own, numbers...)
	}
	slices.Sort(s.Own)
	s.Own = slices.Compact(s.Own)
	if s.Stand, err = decodeNumbers(a.UserData); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share, b.fresh = s, true
	return assigned, nil
}

// MemberBalancer implements kgo.GroupBalancer.
func (b *Balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	cb, err := kgo.NewConsumerBalancer(planner{b.copies}, members)
	return cb, cb.MemberTopics(), err
}

// planner implements kgo.ConsumerBalancerBalance.
type planner struct{ copies int }

// Balance implements kgo.ConsumerBalancerBalance.
func (p planner) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	partitions := int32(0)
	for _, n := range topics {
		partitions = max(partitions, n)
	}
	var members []Member
	var out verdict
	b.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		id := m.MemberID
		if m.InstanceID != nil {
			id = *m.InstanceID
		}
		members = append(members, Member{ID: id, Generation: meta.Generation, Claims: decodeClaims(meta.UserData)})
		out = append(out, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID})
	})
	shares := Plan(members, int(partitions), p.copies)
	i := 0
	b.EachMember(func(_ *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		out[i].MemberAssignment = encodeShare(shares[i], meta.Topics, topics)
		i++
	})
	return out
}

// verdict implements kgo.IntoSyncAssignment.
type verdict []kmsg.SyncGroupRequestGroupAssignment

// IntoSyncAssignment implements kgo.IntoSyncAssignment.
func (v verdict) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment { return v }

// encodeShare owns a number in every topic that the member reads and that has it.
func encodeShare(s Share, reads []string, topics map[string]int32) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	for _, topic := range slices.Sorted(slices.Values(reads)) {
		t := kmsg.NewConsumerMemberAssignmentTopic()
		t.Topic = topic
		for _, p := range s.Own {
			if p < topics[topic] {
				t.Partitions = append(t.Partitions, p)
			}
		}
		if len(t.Partitions) > 0 {
			a.Topics = append(a.Topics, t)
		}
	}
	a.UserData = encodeNumbers(s.Stand)
	return a.AppendTo(nil)
}

// encoded is the version of what travels as user data: this byte, then numbers as varints.
const encoded = 1

func encodeNumbers(numbers []int32) []byte {
	b := []byte{encoded}
	for _, n := range numbers {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// decodeNumbers knows nothing of other versions, and says nothing then.
func decodeNumbers(b []byte) (numbers []int32, err error) {
	if len(b) == 0 || b[0] != encoded {
		return nil, nil
	}
	for b = b[1:]; len(b) > 0; {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<31-1 {
			return nil, errors.New("placement: user data is cut off")
		}
		numbers, b = append(numbers, int32(v)), b[n:]
	}
	return numbers, nil
}

// encodeClaims is in order of partitions, so that equal claims are equal bytes.
func encodeClaims(claims map[int32]Claim) []byte {
	var flat []int32
	for _, p := range slices.Sorted(maps.Keys(claims)) {
		if claims[p] != Nothing {
			flat = append(flat, p, int32(claims[p]))
		}
	}
	return encodeNumbers(flat)
}

// decodeClaims takes what cannot be read for no claim: the plan is still a good one.
func decodeClaims(b []byte) map[int32]Claim {
	flat, err := decodeNumbers(b)
	claims := map[int32]Claim{}
	for i := 0; err == nil && i+1 < len(flat); i += 2 {
		claims[flat[i]] = Claim(min(flat[i+1], int32(Owned)))
	}
	return claims
}
