package integration

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// probeCampaign has exactly one verdict on every tick.
const probeCampaign = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: probe}
spec:
  state: live
  trigger:
    pattern: {count: {event: tick, times: 1}}
    within: 1h
    allowed_lateness: 1h
  reentry: {mode: always}
  channels: [{type: popup, content: probe/%d}]
`

// secondWorker joins the run's own until the test ends.
func (s *site) secondWorker() {
	s.t.Helper()
	cmd := s.tool("worker", "--data", filepath.Join(s.t.TempDir(), "two"), "--instance", "two", "--partitions", "4", "--admin", "127.0.0.1:0", "--log-level", "warn")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the second worker: %v\n%s", err, &out)
		}
	})
}

// edits sends ticks all the time and applies the campaign again and again. It returns, for each tick, the
// newest edit that apply had answered for when it was sent: no older one may decide it.
func (s *shop) edits(n int) (first map[string]int, sources []string) {
	s.t.Helper()
	first = map[string]int{}
	ticks := func(after int) {
		var all []shopCall
		for range 20 {
			c := s.track("tick", fmt.Sprint("u", len(s.calls)%211), nil)
			first[c.MessageID] = after
			all = append(all, c)
		}
		s.send(all...)
	}
	for k := range n {
		sources = append(sources, fmt.Sprintf(probeCampaign, k))
		cmd := s.tool("apply", "-f", "/dev/stdin", "--tenant", shopTenant)
		cmd.Stdin = strings.NewReader(sources[k])
		type answer struct {
			text []byte
			err  error
		}
		answered := make(chan answer, 1)
		go func() {
			text, err := cmd.CombinedOutput()
			answered <- answer{text, err}
		}()
		for waiting := true; waiting; {
			select {
			case a := <-answered:
				if a.err != nil {
					s.t.Fatalf("apply: %v\n%s", a.err, a.text)
				}
				holds(s.t, string(a.text), "in force in 2 worker(s)")
				waiting = false
			default:
				if k > 0 {
					ticks(k - 1)
				}
			}
		}
		for range 10 {
			ticks(k)
		}
	}
	return first, sources
}

// Each of two worker processes decides by a version from one record on, and by it only; what is sent after
// the answer of apply is decided by what was applied. dwell bench edit does the same at 20,000 events/s and
// compares every byte.
func TestEditsOfALiveCampaignLoseAndMixNothing(t *testing.T) {
	s := start(t, backend{name: "embedded"})
	sh := newShop(s, 0)
	s.secondWorker()
	waitFor(t, func() bool {
		return strings.Contains(s.piped(fmt.Sprintf(probeCampaign, 0), "apply", "-f", "/dev/stdin", "--tenant", shopTenant), "in force in 2 worker(s)")
	}, func() string { return "the second worker does not say that it is there" })
	const edits = 5
	first, sources := sh.edits(edits)
	sh.decided()

	order := map[string]int{} // versions by the edit that brought them
	for k, source := range sources {
		out := s.piped(source, "apply", "-f", "/dev/stdin", "--tenant", shopTenant, "--dry-run")
		_, rest, _ := strings.Cut(out, "(version ")
		version, _, _ := strings.Cut(rest, ")")
		order[version] = k
	}
	if len(order) != edits {
		t.Fatalf("versions %v", order)
	}
	now, seen, by := map[int32]int{}, map[string]int{}, map[int]int{}
	err := kafka.ReadAll(t.Context(), sh.cluster(), topics.Verdicts.Spec, func(e kafka.Entry) error {
		v, err := topics.Verdicts.Codec.Decode(e.Value)
		if err != nil || v.Tenant != shopTenant {
			return err
		}
		at := schemas.Coordinates{Topic: v.SrcTopic, Partition: v.SrcPartition, Offset: v.SrcOffset}
		k, known := order[v.Version]
		if !known || k < now[v.SrcPartition] {
			t.Errorf("%s: decided by version %q (edit %d) after edit %d", at, v.Version, k, now[v.SrcPartition])
		}
		now[v.SrcPartition] = k
		seen[v.EventId]++
		by[k]++
		if k < first[v.EventId] {
			t.Errorf("%s: %s was sent after edit %d was in force, and decided by edit %d", at, v.EventId, first[v.EventId], k)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range first {
		if seen[id] != 1 {
			t.Errorf("%s has %d verdicts", id, seen[id])
		}
	}
	if len(by) != edits || len(now) != 4 || len(seen) != len(first) {
		t.Errorf("%d ticks, %d with verdicts, by edit %v, up to edit %v by partition", len(first), len(seen), by, now)
	}
	t.Logf("%d ticks, by edit %v", len(first), by)
}
