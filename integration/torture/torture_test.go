package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/embedded"
)

// TestMain lets the test binary be a worker, to be killed.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		os.Exit(workerMain())
	}
	os.Exit(m.Run())
}

// opts parses options as main does. DWELL_TEST_SEED repeats a run.
func opts(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(append(args, "-dir", t.TempDir(), "-seed", strconv.FormatUint(seed(), 10)))
	if err != nil {
		t.Fatal(err)
	}
	o.out = t.Output()
	return o
}

func seed() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("DWELL_TEST_SEED"), 10, 64) // 0 draws one
	return n
}

// limit is the most that a run in a test may take; on a free machine the longest takes a minute and a half.
const limit = 8 * time.Minute

// tortured runs, on the embedded Kafka where there is no real one.
func tortured(t *testing.T, o *options) verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	v, err := run(ctx, *o)
	if errors.Is(err, embedded.ErrNoJava) || errors.Is(err, embedded.ErrNoMaven) {
		t.Log("no real Kafka here, so the embedded one:", err)
		o.brokers, o.faults = 0, possible(0, o.stack)
		v, err = run(ctx, *o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// unhurt runs and demands that nothing is wrong, and that everything ran.
func unhurt(t *testing.T, o *options) verdict {
	t.Helper()
	v := tortured(t, o)
	if want := "torture: " + strconv.Itoa(o.kills) + " kills, 0 wrong rows, 0 lost, 0 doubled"; v.String() != want {
		t.Errorf("%v, want %s", v, want)
	}
	if v.died > 0 {
		t.Errorf("%d workers ended by themselves", v.died)
	}
	if v.users < o.users || v.actions < v.records/20 {
		t.Errorf("compared %d rows and %d actions of %d records: the run was idle", v.users, v.actions, v.records)
	}
	return v
}

// TestTorture: twenty kills and every other fault on a real broker.
func TestTorture(t *testing.T) {
	o := opts(t, "-brokers", "1", "-kills", "20", "-rate", "500", "-users", "300")
	v := unhurt(t, &o)
	if o.brokers > 0 && v.kept > v.written/2 {
		t.Errorf("the tables kept %d of %d rows: they were not compacted", v.kept, v.written)
	}
}

// The embedded Kafka's runs are beside each other: they mostly wait for sessions to end.
func TestWorkersKilledOnTheEmbeddedKafka(t *testing.T) {
	t.Parallel()
	o := opts(t, "-brokers", "0", "-kills", "8", "-round", "4", "-faults", "kill,truncate,rebalance", "-rate", "500", "-users", "200")
	unhurt(t, &o)
}

// convict tortures a stack that is wrong until the checker has found all of what it does wrong. A kill that
// hits between two commits does no harm, and a few of them may all do so; forty in a row do not.
func convict(t *testing.T, stack string, all func(verdict) bool) {
	t.Parallel()
	var sum verdict
	for sum.kills < 40 {
		o := opts(t, "-brokers", "0", "-kills", "5", "-stack", stack, "-rate", "500", "-users", "200")
		sum.merge(tortured(t, &o))
		t.Log(sum)
		if all(sum) {
			return
		}
	}
	t.Errorf("the checker did not find all that %s does wrong", stack)
}

// The same core and the same faults, but input offsets are committed on their own: what was under way
// in a killed worker is lost.
func TestCheckerFindsOffsetsCommittedOutsideTheTransaction(t *testing.T) {
	convict(t, stackLoose, func(v verdict) bool { return v.wrong > 0 && v.lost > 0 })
}

// Stock goka processes at least once: what a killed worker had not committed comes again.
func TestCheckerFindsWhatStockGokaDoesWrong(t *testing.T) {
	convict(t, stackGoka, func(v verdict) bool { return v.wrong > 0 && v.doubled > 0 })
}

// A run that was stopped says how to go on, and nothing of it looks like a verdict of all.
func TestStoppedRunSaysHowToGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := opts(t, "-brokers", "0", "-kills", "5", "-round", "2")
	var b strings.Builder
	o.out = &b
	v, err := run(ctx, o)
	if err == nil || v.kills != 0 || v.records != 0 {
		t.Errorf("%v, %v", v, err)
	}
	if want := fmt.Sprintf("stopped in round 1; from there on: -kills 5 -seed %d", o.seed); !strings.Contains(b.String(), want) {
		t.Errorf("%s\ndoes not say %q", b.String(), want)
	}
}

func TestScheduleFollowsTheSeed(t *testing.T) {
	print := func(args ...string) (string, int) {
		o, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		kills := 0
		for _, s := range schedule(o) {
			b.WriteString(s.String() + "\n")
			switch s.fault {
			case kill, broker, truncate:
				kills++
			default:
			}
		}
		return b.String(), kills
	}
	for _, kills := range []string{"0", "1", "20", "1000"} {
		a, n := print("-kills", kills, "-seed", "5")
		b, _ := print("-kills", kills, "-seed", "5")
		if a != b {
			t.Errorf("%s kills: two schedules of one seed", kills)
		}
		if strconv.Itoa(n) != kills {
			t.Errorf("%d kills, want %s", n, kills)
		}
	}
	a, _ := print("-seed", "5")
	b, _ := print("-seed", "6")
	if a == b {
		t.Error("one schedule of two seeds")
	}
	for _, f := range allFaults {
		if f != compact && !strings.Contains(a, string(f)) {
			t.Errorf("20 kills never come to %s", f)
		}
	}
}

func TestFalseOptionsAreRefused(t *testing.T) {
	for _, args := range []string{"-brokers 2", "-faults nothing", "-brokers 0 -faults broker", "-stack flink", "-stack goka -faults stop", "-workers 0", "-kills -1", "-round 0", "-stack loose -faults pause"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s: taken", args)
		}
	}
}
