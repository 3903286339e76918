package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

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

// tortured runs, where there is what it takes.
func tortured(t *testing.T, o options) verdict {
	t.Helper()
	v, err := run(t.Context(), o)
	if errors.Is(err, embedded.ErrNoJava) || errors.Is(err, embedded.ErrNoMaven) {
		t.Skip("no real Kafka here:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// unhurt runs and demands that nothing is wrong, and that everything ran.
func unhurt(t *testing.T, o options) verdict {
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

// long skips what takes minutes, unless it was asked for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("DWELL_TORTURE") == "" {
		t.Skip("takes minutes: set DWELL_TORTURE=1, or run make torture")
	}
}

// TestTorture: twenty kills and every other fault on a real broker.
func TestTorture(t *testing.T) {
	long(t)
	v := unhurt(t, opts(t, "-brokers", "1", "-kills", "20"))
	if v.kept > v.written/2 {
		t.Errorf("the tables kept %d of %d rows: they were not compacted", v.kept, v.written)
	}
}

func TestWorkersKilledOnTheEmbeddedKafka(t *testing.T) {
	long(t)
	unhurt(t, opts(t, "-brokers", "0", "-kills", "8", "-faults", "kill,truncate,rebalance"))
}

// TestCheckerFindsWhatStockGokaDoesWrong: the same run, without the core's protections.
func TestCheckerFindsWhatStockGokaDoesWrong(t *testing.T) {
	long(t)
	v := tortured(t, opts(t, "-brokers", "1", "-kills", "6", "-stack", "goka"))
	t.Log(v)
	if v.wrong == 0 && v.doubled == 0 {
		t.Error("the checker found nothing wrong with at-least-once")
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
	for _, args := range []string{"-brokers 2", "-faults nothing", "-brokers 0 -faults broker", "-stack flink", "-stack goka -faults stop", "-workers 0", "-kills -1"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s: taken", args)
		}
	}
}
