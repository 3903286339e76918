// Package kafkatest gives a test a broker in its own process, without a disk, whose groups treat members
// that die as Apache Kafka does.
package kafkatest

import (
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/dwellhq/dwell/embedded/sessions"
)

// Session is the shortest session timeout of a group's member that a Cluster takes, if Start is not told another.
const Session = time.Second

// Cluster is franz-go's kfake with one broker and a sessions.Keeper beside it. Topics are never created by
// themselves. The Keeper asks in its own name, so faults and controls for the keys JoinGroup, SyncGroup and
// Heartbeat meet its heartbeats too: those have no InstanceID.
type Cluster struct {
	*kfake.Cluster
	keeper *sessions.Keeper
	once   sync.Once
}

// Start runs a Cluster until the test ends, after all that the test cleans up from now on. opts overrule
// what Start sets; member sessions must be 500 ms or longer. What fails ends the test.
func Start(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(Session)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Cluster: fake}
	if c.keeper, err = sessions.Keep(fake); err != nil {
		fake.Close()
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Close ends the cluster: clients see their connections end. A second call does nothing.
func (c *Cluster) Close() {
	c.once.Do(func() {
		c.keeper.Close() // it must not ask a cluster that is gone
		c.Cluster.Close()
	})
}
