package audience

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// victimEnv makes this test binary a load: what the tests kill. It says the brokers.
const victimEnv = "DWELL_AUDIENCE_VICTIM"

// victimFlush is after how many members a victim waits for the brokers.
const victimFlush = 100

func TestMain(m *testing.M) {
	if brokers := os.Getenv(victimEnv); brokers != "" {
		if err := victim(brokers); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim loads what comes in, and says each phase that it is in.
func victim(brokers string) error {
	l := Load{Cluster: kafka.DefaultConfig(), Tenant: "demo", Name: "vip", flush: victimFlush, Tell: func(p Progress) { fmt.Println(p.Phase, p.Line) }}
	l.Cluster.Brokers = strings.Split(brokers, ",")
	_, err := l.Run(context.Background(), "vip.csv", os.Stdin)
	return err
}

// load is a load in a process of its own.
type load struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func (w *world) victim() *load {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	v := &load{t: w.t, cmd: exec.CommandContext(w.t.Context(), self)}
	v.cmd.Env, v.cmd.Stderr = append(os.Environ(), victimEnv+"="+strings.Join(w.cfg.Brokers, ",")), os.Stderr
	var inErr error
	v.in, inErr = v.cmd.StdinPipe()
	out, err := v.cmd.StdoutPipe()
	if err := errors.Join(inErr, err, v.cmd.Start()); err != nil {
		w.t.Fatal(err)
	}
	v.out = bufio.NewScanner(out)
	return v
}

// give writes lines of members.
func (v *load) give(users []string) {
	v.t.Helper()
	if _, err := io.WriteString(v.in, strings.Join(users, "\n")+"\n"); err != nil {
		v.t.Fatal(err)
	}
}

// says waits until the load says so.
func (v *load) says(what string) {
	v.t.Helper()
	for v.out.Scan() {
		if strings.HasPrefix(v.out.Text(), what) {
			return
		}
	}
	v.t.Fatalf("it ended before it said %q: %v", what, v.out.Err())
}

// kill is kill -9.
func (v *load) kill() {
	v.t.Helper()
	if err := v.cmd.Process.Kill(); err != nil {
		v.t.Error(err)
	}
	if err := v.cmd.Wait(); err == nil {
		v.t.Error("it ended by itself")
	}
}

// members are all users of the tenant whose rows say that they are in what is current of the list.
func (w *world) members(tenant string) (version int64, users []string) {
	w.t.Helper()
	lists, err := Lists(w.t.Context(), w.cfg, tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range lists {
		if a.Name == "vip" {
			version = a.Current.Version
		}
	}
	in := map[string]bool{}
	err = kafka.ReadAll(w.t.Context(), w.cfg, topics.Table(engage.Processor.Name, engage.Processor.MaxRowBytes), func(e kafka.Entry) error {
		of, user := schemas.SplitKey(e.Key)
		if of != tenant {
			return nil
		}
		delete(in, user)
		if e.Value == nil {
			return nil
		}
		row, err := engage.Processor.DecodeRow(slices.Clone(e.Value))
		if err == nil && profile.In(processors.State[schemas.EngageRow](row).GetProfile(), "vip", version) {
			in[user] = true
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return version, slices.Sorted(maps.Keys(in))
}

// has fails the test unless exactly these are in the list, and what is current is this version; 0: any.
func (w *world) has(when string, version int64, want []string) {
	w.t.Helper()
	now, got := w.members("demo")
	if !slices.Equal(got, want) || version != 0 && now != version {
		w.t.Errorf("%s: version %d with %d members is current, want %d with %d", when, now, len(got), version, len(want))
	}
	if _, other := w.members("other"); len(other) > 0 {
		w.t.Errorf("%s: the other tenant's list has %d members", when, len(other))
	}
}

// people are users by number, in order.
func people(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("user%05d", i))
	}
	return all
}

// A load that is killed, whenever that is, leaves exactly the list that was there; the same file loaded again gives
// exactly the new one.
func TestAKilledLoadLeavesTheListAsItWas(t *testing.T) {
	w := newWorld(t)
	d := livetest.Decide(t, w.cfg, "one", t.TempDir())
	w.until("ready", d.Ready)
	before, after := people(0, 1000), people(500, 2500)
	first, err := w.load(Load{}, "vip.csv", strings.NewReader(strings.Join(before, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	w.has("loaded", first.Version, before)

	v := w.victim() // in the middle of the file: it waits for the rest
	v.give(after[:1000])
	v.says(fmt.Sprint(Writing, " 1000"))
	v.kill()
	w.settled()
	w.has("killed while it wrote", first.Version, before)

	d.Stop() // nobody reads the members now
	v = w.victim()
	v.give(after)
	if err := v.in.Close(); err != nil {
		t.Fatal(err)
	}
	v.says(Reading)
	v.kill()
	d = livetest.Decide(t, w.cfg, "one", t.TempDir())
	w.until("ready again", d.Ready)
	w.settled()
	w.has("killed while the workers read", first.Version, before)

	v = w.victim() // the switch is one record: it is made, or it is not
	v.give(after)
	if err := v.in.Close(); err != nil {
		t.Fatal(err)
	}
	v.says(Switching)
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait() // killed, or through
	w.settled()
	if now, _ := w.members("demo"); now == first.Version {
		w.has("killed before the switch", now, before)
	} else {
		w.has("killed after the switch", now, after)
	}

	second, err := w.load(Load{}, "vip.csv", strings.NewReader(strings.Join(after, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	w.has("loaded again", second.Version, after)
}

// settled waits until the worker has committed all members that are in the log.
func (w *world) settled() {
	w.t.Helper()
	ends, err := kafka.Ends(w.t.Context(), w.cfg, topics.Members.Spec)
	if err != nil {
		w.t.Fatal(err)
	}
	w.until("the worker has read the members", func() bool {
		behind, err := kafka.Behind(w.t.Context(), w.cfg, "engage", topics.Members.Spec, ends)
		if err != nil {
			w.t.Fatal(err)
		}
		return behind == 0
	})
}
