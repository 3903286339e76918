package drain_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestZombieThatWakesUpDoublesNothing stops a process in its tracks until another has taken over,
// and lets it go on with what it was doing. It is killed once when it has partitions again, and once
// while it joins: a broker that keeps such a member in the group never gives its partitions away.
func TestZombieThatWakesUpDoublesNothing(t *testing.T) {
	w := newWorld(t)
	w.under(t, 2, func() {
		for _, until := range []string{"Stable", ""} {
			w.atWork(t)
			wait(t.Context(), rand.N(300*time.Millisecond))
			old, oldIn := w.cmd, w.stdin
			if err := old.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			w.spawn(t)
			w.atWork(t) // it has replayed what the other left
			before := w.members(t)
			if err := old.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			w.newcomer(t, before, until)
			if err := old.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = old.Wait()
			_ = oldIn.Close()
		}
	})
}

// factsGroup is the group of the pipeline of facts.
const factsGroup = "dwell.sink-facts"

// members are those of the facts' group now.
func (w *world) members(t *testing.T) kadm.DescribedGroup {
	t.Helper()
	cl, err := victimConfig(w.broker).Kafka.NewClient("members")
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	all, err := kadm.NewClient(cl).DescribeGroups(t.Context(), factsGroup)
	if err != nil {
		t.Fatal(err)
	}
	return all[factsGroup]
}

// newcomer waits until the facts' group has a member that it had not before, in a state, if any.
func (w *world) newcomer(t *testing.T, before kadm.DescribedGroup, state string) {
	t.Helper()
	known := map[string]bool{}
	for _, m := range before.Members {
		known[m.MemberID] = true
	}
	eventually(t, "the zombie joins again", func() error {
		now := w.members(t)
		for _, m := range now.Members {
			if !known[m.MemberID] && (state == "" || now.State == state) {
				return nil
			}
		}
		return fmt.Errorf("%s, %d members", now.State, len(now.Members))
	})
}
