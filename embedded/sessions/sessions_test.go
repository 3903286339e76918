package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/embedded/kafkatest"
)

const (
	// session is the shortest that a broker takes here.
	session = time.Second
	// rebalance is so long that nothing in these tests may depend on its end.
	rebalance = time.Minute
	// patient is for one step of a rebalance; by itself it takes a session.
	patient = 15 * time.Second
)

// realEnv set to real runs these tests on an Apache Kafka from Maven's jars, which needs no Keeper.
const realEnv = "KAFKA"

// cluster is a kfake with a Keeper, as all tests have it, or a real Kafka.
func cluster(t *testing.T) []string {
	t.Helper()
	if os.Getenv(realEnv) == "real" {
		k, err := embedded.StartRealKafka(t.Context(), embedded.RealKafkaConfig{
			Dir: t.TempDir(), Properties: map[string]string{"group.min.session.timeout.ms": "1000"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
		return k.Addrs()
	}
	return kafkatest.Start(t, kfake.GroupMinSessionTimeout(session)).ListenAddrs()
}

// bare is kfake as it is.
func bare(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(session))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// many groups see what one sees by luck: whether kfake notices in time that a connection broke.
const many = 12

// member is a member of a group that does only what a test says. Each wire is a connection: one that
// waits for a rebalance holds up what comes after it.
type member struct {
	t          *testing.T
	group      string
	wire, beat *kgo.Client
	id         string
	generation int32
}

func newMember(t *testing.T, addrs []string, group string) *member {
	t.Helper()
	m := &member{t: t, group: group, wire: client(t, addrs), beat: client(t, addrs)}
	m.id = m.join(t.Context()).MemberID // the first answer only gives the id
	if m.id == "" {
		t.Fatal("no member id")
	}
	return m
}

func client(t *testing.T, addrs []string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// join returns what the broker says, however long that takes.
func (m *member) join(ctx context.Context) *kmsg.JoinGroupResponse {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = m.group, m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(session.Milliseconds()), int32(rebalance.Milliseconds())
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	req.Protocols = append(req.Protocols, p)
	resp, err := req.RequestWith(ctx, m.wire)
	if err != nil {
		resp = kmsg.NewPtrJoinGroupResponse()
		resp.ErrorCode = kerr.UnknownServerError.Code
		if ctx.Err() == nil {
			m.t.Errorf("join: %v", err)
		}
	}
	if resp.ErrorCode == 0 {
		m.generation = resp.Generation
	}
	return resp
}

// joining is join in the background.
func (m *member) joining(ctx context.Context) <-chan *kmsg.JoinGroupResponse {
	got := make(chan *kmsg.JoinGroupResponse, 1)
	go func() { got <- m.join(ctx) }()
	return got
}

// syncing asks for the assignment, in the background; a leader says what others get.
func (m *member) syncing(assign ...*member) <-chan error {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for _, o := range assign {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = o.id, []byte(o.id)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	got := make(chan error, 1)
	go func() {
		resp, err := req.RequestWith(m.t.Context(), m.wire)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		got <- err
	}()
	return got
}

func (m *member) heartbeat() error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	resp, err := req.RequestWith(m.t.Context(), m.beat)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// die breaks the connection that a request of m waits on.
func (m *member) die() { m.wire.Close() }

// beats sends heartbeats until ok takes the answer; false: none did for so long.
func (m *member) beats(long time.Duration, ok func(error) bool) bool {
	for end := time.Now().Add(long); time.Now().Before(end); {
		if ok(m.heartbeat()) {
			return true
		}
		tick(m.t.Context())
	}
	return false
}

func rebalancing(err error) bool { return errors.Is(err, kerr.RebalanceInProgress) }

// tick is the pause between two looks.
func tick(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

// within returns what comes out of c.
func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patient):
		t.Fatalf("%s: no answer", what)
		panic("unreachable")
	}
}

// joined fails the test unless the join succeeded.
func joined(t *testing.T, what string, c <-chan *kmsg.JoinGroupResponse) *kmsg.JoinGroupResponse {
	t.Helper()
	resp := within(t, what, c)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return resp
}

// alone makes m the only member, and the leader.
func (m *member) alone() {
	m.t.Helper()
	joined(m.t, "the first joins", m.joining(m.t.Context()))
	if err := within(m.t, "the first syncs", m.syncing(m)); err != nil {
		m.t.Fatal(err)
	}
}

// diedWhileItJoined returns a, which leads a group alone, after a second member has begun to join and
// has died before a knew of it.
func diedWhileItJoined(t *testing.T, addrs []string, group string) *member {
	t.Helper()
	a, b := newMember(t, addrs, group), newMember(t, addrs, group)
	a.alone()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gone := b.joining(ctx)
	if !a.beats(patient, rebalancing) {
		t.Fatal("the second's join did not begin a rebalance")
	}
	cancel()
	b.die()
	within(t, "the second is dead", gone)
	return a
}

// withTheDead is the next generation, in which a leads and the dead one has partitions.
func withTheDead(t *testing.T, addrs []string, group string) *member {
	t.Helper()
	a := diedWhileItJoined(t, addrs, group)
	resp := joined(t, "the first joins again", a.joining(t.Context()))
	if len(resp.Members) != 2 {
		t.Fatalf("%d members, want the dead one too", len(resp.Members))
	}
	if err := within(t, "the leader syncs", a.syncing(a)); err != nil {
		t.Fatal(err)
	}
	return a
}

// inGroups gets many groups into a state, and counts those for which ok then holds. ok runs beside
// the test's own goroutine.
func inGroups(t *testing.T, begin func(group string) *member, ok func(*member) bool) int {
	t.Helper()
	var n atomic.Int32
	var wg sync.WaitGroup
	for i := range many {
		m := begin(fmt.Sprint("g", i))
		wg.Go(func() {
			if ok(m) {
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return int(n.Load())
}

func TestMemberThatDiedWhileItJoinedIsRemoved(t *testing.T) {
	addrs := cluster(t)
	n := inGroups(t, func(group string) *member { return withTheDead(t, addrs, group) }, func(a *member) bool {
		return a.beats(patient, rebalancing) && len(a.join(t.Context()).Members) == 1
	})
	if n != many {
		t.Errorf("in %d of %d groups the dead member kept its partitions", many-n, many)
	}
}

func TestLeaderThatDiedWhileItJoinedIsRemoved(t *testing.T) {
	addrs := cluster(t)
	// The first says nothing more either, so that the dead one is alone and leads, and nobody waits
	// for its plan.
	n := inGroups(t, func(group string) *member { return diedWhileItJoined(t, addrs, group) }, (*member).emptied)
	if n != many {
		t.Errorf("in %d of %d groups the dead leader stayed", many-n, many)
	}
}

// emptied waits until the group has no member.
func (m *member) emptied() bool {
	for end := time.Now().Add(patient); time.Now().Before(end); tick(m.t.Context()) {
		d, err := kadm.NewClient(m.beat).DescribeGroups(m.t.Context(), m.group)
		if err != nil {
			return false
		}
		if state := d[m.group].State; state == "Empty" || state == "Dead" {
			return true
		}
	}
	return false
}

func TestMemberThatWaitsForOthersToJoinIsAnswered(t *testing.T) {
	addrs := cluster(t)
	a, b := newMember(t, addrs, "g"), newMember(t, addrs, "g")
	together(t, a, b)
	again := a.joining(t.Context()) // the leader's begins a rebalance
	if !b.beats(patient, rebalancing) {
		t.Fatal("the leader's join did not begin a rebalance")
	}
	b.beats(3*session, func(error) bool { return false }) // it is slow to let go
	joined(t, "the second joins again", b.joining(t.Context()))
	if resp := joined(t, "the first joins again", again); len(resp.Members) != 2 {
		t.Errorf("%d members, want both", len(resp.Members))
	}
}

func TestMemberThatWaitsForTheLeadersPlanIsAnswered(t *testing.T) {
	addrs := cluster(t)
	a, b := newMember(t, addrs, "g"), newMember(t, addrs, "g")
	leader, other := lead(t, a, b)
	waiting := other.syncing()
	if leader.beats(3*session, func(err error) bool { return err != nil }) {
		t.Fatal("the leader may not lead any more")
	}
	for who, c := range map[string]<-chan error{"the leader": leader.syncing(a, b), "the other": waiting} {
		if err := within(t, who+" syncs", c); err != nil {
			t.Errorf("%s syncs: %v", who, err)
		}
	}
}

func TestMemberThatFellSilentIsRemovedWhileOthersWait(t *testing.T) {
	addrs := cluster(t)
	a, b := newMember(t, addrs, "g"), newMember(t, addrs, "g")
	together(t, a, b)
	if resp := joined(t, "the living one joins", a.joining(t.Context())); len(resp.Members) != 1 {
		t.Errorf("%d members, want the living one", len(resp.Members))
	}
}

// together makes a the leader of both.
func together(t *testing.T, a, b *member) {
	t.Helper()
	leader, other := lead(t, a, b)
	plan, theirs := leader.syncing(a, b), other.syncing()
	if err := errors.Join(within(t, "the leader syncs", plan), within(t, "the other syncs", theirs)); err != nil {
		t.Fatal(err)
	}
}

// lead joins both, and says who leads: a, which was first.
func lead(t *testing.T, a, b *member) (leader, other *member) {
	t.Helper()
	a.alone()
	second := b.joining(t.Context())
	if !a.beats(patient, rebalancing) {
		t.Fatal("the second's join did not begin a rebalance")
	}
	first := joined(t, "the first joins again", a.joining(t.Context()))
	joined(t, "the second joins", second)
	if first.LeaderID != a.id {
		t.Fatalf("%s leads, want %s", first.LeaderID, a.id)
	}
	return a, b
}

// TestKfakeStillNeedsAKeeper fails once kfake removes each member that died while it joined: then
// this package may go, if the tests above pass without Keep.
func TestKfakeStillNeedsAKeeper(t *testing.T) {
	if os.Getenv(realEnv) == "real" || testing.Short() {
		t.Skip("needs kfake, and some seconds")
	}
	addrs := bare(t).ListenAddrs()
	stuck := inGroups(t, func(group string) *member { return withTheDead(t, addrs, group) }, func(a *member) bool {
		return !a.beats(3*session, rebalancing)
	})
	t.Logf("%d of %d groups kept a dead member", stuck, many)
	if stuck == 0 {
		t.Error("kfake removes the dead by itself: see whether this package can go")
	}
}
