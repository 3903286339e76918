// Package sessions makes the groups of franz-go's kfake, the embedded Kafka, treat members that wait
// for a rebalance as Apache Kafka does. Join and sync requests enter, heartbeats leave.
//
// kfake departs from it twice:
//
//   - A member whose connection breaks while its JoinGroup waits gets no session timer. It stays in
//     the group for ever, and what the leader assigns to it stands still until the next rebalance.
//   - The session timer of a member that waits for the answer to a JoinGroup or SyncGroup goes on. It
//     sends no heartbeats meanwhile, so it is removed, and its request is never answered: the client
//     waits for the rebalance timeout and 10 s more.
//
// A Keeper sends the heartbeats that set both right: one for every member of a new generation, which
// starts the timers, and further ones for members that wait. No member that is neither new nor
// waiting is kept alive.
package sessions

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// every is the time between two looks at a group that rebalances: well below the shortest session.
const every = 100 * time.Millisecond

// heartbeatTimeout bounds one heartbeat; the broker is in this process.
const heartbeatTimeout = 5 * time.Second

// Keeper watches one cluster. Use Keep.
type Keeper struct {
	cluster *kfake.Cluster
	cl      *kgo.Client
	wake    chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}

	mu     sync.Mutex
	rounds map[string]*round // by group; those with quiet < calm are looked at
}

// Keep watches the groups of c, whose sessions must be 500 ms or longer, until Close. There must be
// no clients yet.
func Keep(c *kfake.Cluster) (*Keeper, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ClientID("dwell-sessions"))
	if err != nil {
		return nil, fmt.Errorf("watch the groups of %v: %w", c.ListenAddrs(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &Keeper{
		cluster: c, cl: cl, wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
		rounds: map[string]*round{},
	}
	c.ControlKey(int16(kmsg.JoinGroup), k.join)
	c.ControlKey(int16(kmsg.SyncGroup), k.sync)
	go func() {
		defer close(k.done)
		k.run(ctx)
	}()
	return k, nil
}

// Close ends the watch and waits for that. It must come before the cluster's own Close, which leaves
// a question to the cluster without an answer. A second call does nothing.
func (k *Keeper) Close() {
	k.cancel()
	<-k.done
	k.cl.Close()
}

// join and sync only look: kfake handles the request afterwards. They run while its loop waits for
// them, and serves GroupInfo, so the generation is the one that the request meets.
func (k *Keeper) join(req kmsg.Request) (kmsg.Response, error, bool) {
	r, ok := req.(*kmsg.JoinGroupRequest)
	if !ok {
		return nil, nil, false
	}
	var generation int32
	if g := k.cluster.GroupInfo(r.Group); g != nil {
		generation = g.Epoch
	}
	k.note(r.Group, r.MemberID, wait{preparing, generation})
	return nil, nil, false
}

func (k *Keeper) sync(req kmsg.Request) (kmsg.Response, error, bool) {
	if r, ok := req.(*kmsg.SyncGroupRequest); ok {
		k.note(r.Group, r.MemberID, wait{completing, r.Generation})
	}
	return nil, nil, false
}

func (k *Keeper) note(group, member string, w wait) {
	k.mu.Lock()
	r := k.rounds[group]
	if r == nil {
		r = &round{started: -1, waits: map[string]wait{}}
		k.rounds[group] = r
	}
	r.quiet, r.waits[member] = 0, w
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run looks at the groups that rebalance, and sleeps while there are none.
func (k *Keeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		groups := k.busy()
		for _, name := range groups {
			k.look(ctx, name)
		}
		if len(groups) > 0 {
			pause(ctx, every)
			continue
		}
		select {
		case <-ctx.Done():
		case <-k.wake:
		}
	}
}

func (k *Keeper) busy() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for name, r := range k.rounds {
		if r.quiet < calm {
			names = append(names, name)
		}
	}
	return names
}

// look sends the heartbeats that are due in one group.
func (k *Keeper) look(ctx context.Context, name string) {
	g := k.cluster.GroupInfo(name)
	k.mu.Lock()
	if g == nil {
		delete(k.rounds, name)
		k.mu.Unlock()
		return
	}
	due, starts := k.rounds[name].due(g)
	k.mu.Unlock()
	answered := true
	for _, member := range due {
		answered = k.heartbeat(ctx, name, member, g.Epoch) == nil && answered
	}
	if starts && answered {
		k.mu.Lock()
		k.rounds[name].started = g.Epoch
		k.mu.Unlock()
	}
}

// heartbeat returns an error if there was no answer. What the answer says is for the member itself.
func (k *Keeper) heartbeat(ctx context.Context, group, member string, generation int32) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	_, err := k.cl.Request(ctx, req)
	return err
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
