package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/processors/engage"
)

// outageOf is how long an outage is in this run. Spans of the campaigns are shares of it, so a short one
// leads through the same states as a long one: deadlines that pass while nobody looks, cancellations of them
// that wait in the log, a worker that the group has given up (after 3 s). DWELL_TEST_OUTAGE=10m makes it what
// the acceptance names, by the wall clock; nothing else changes.
func outageOf(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("DWELL_TEST_OUTAGE")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 4*time.Second || d > time.Hour {
		t.Fatalf("DWELL_TEST_OUTAGE: %q is no span from 4s to 1h", text)
	}
	return d
}

// pass returns once the clock has come to a moment.
func pass(t *testing.T, to time.Time) {
	t.Helper()
	timer := time.NewTimer(time.Until(to))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// armed is a user of the story: it signs up and fills a cart, which arms the delay of "welcome" and the
// absence of "cart". bought and paid are what cancels them; empty: nothing does.
type armed struct {
	signed, added, bought, paid shopCall
}

// arm lets n users begin.
func (s *shop) arm(prefix string, n int) []*armed {
	s.t.Helper()
	var all []*armed
	var calls []shopCall
	for i := range n {
		user := prefix + strconv.Itoa(i)
		a := &armed{signed: s.track("signup", user, nil), added: s.track("cart_add", user, nil)}
		all, calls = append(all, a), append(calls, a.signed, a.added)
	}
	s.send(calls...)
	return all
}

// settle lets a half of them buy and another half pay.
func (s *shop) settle(all []*armed) {
	s.t.Helper()
	var calls []shopCall
	for i, a := range all {
		if i%2 == 1 {
			a.bought = s.track("purchase", a.added.UserID, nil)
			calls = append(calls, a.bought)
		}
		if i%4 >= 2 {
			a.paid = s.track("deposit", a.signed.UserID, nil)
			calls = append(calls, a.paid)
		}
	}
	s.send(calls...)
}

func TestARunThroughKillsAndOutagesIsItsOwnRehearsal(t *testing.T) {
	outage := outageOf(t)
	s := start(t, backend{name: "embedded"})
	sh := newShop(s, outage)
	folder := filepath.Join(t.TempDir(), "campaigns")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "shop.yaml"), []byte(shopCampaigns(outage, time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, s.dwell("apply", "-f", folder, "--tenant", shopTenant), "in force in 1 worker(s)")

	sh.killWhileEventsComeIn(3)
	hung := sh.workerHangs(outage)
	down := sh.wholeRunIsDown(outage)

	file := filepath.Join(t.TempDir(), "events.ndjson")
	sh.decided()
	events, to := sh.export(file)
	rehearsed := sh.rehearse(folder, file, events)
	var live []string
	waitFor(t, func() bool {
		live = sh.verdicts(to)
		return len(live) >= len(rehearsed)
	}, func() string { return fmt.Sprintf("%d verdicts up to %s, rehearsed %d", len(live), to, len(rehearsed)) })
	sh.agree(live, rehearsed)
	sh.keptTime(live, outage, to, append(hung, down...))
	holds(t, s.dwell("replay-check", "engage"), "differences   0")
	t.Logf("%d events, %d verdicts, outages of %v", events, len(live), outage)
}

// killWhileEventsComeIn kills the worker with -9, each time with a batch half done and more to come.
func (s *shop) killWhileEventsComeIn(times int) {
	s.t.Helper()
	restarts := s.child("worker").Restarts
	for i := range times {
		for range 10 {
			s.views(20)
		}
		s.kill("worker")
		for range 5 {
			s.views(20)
		}
		s.back("worker", restarts+i+1)
	}
}

// workerHangs is an outage of the worker alone. It stands still with deadlines set; the gateway goes on and
// the log fills up with what cancels half of them, and with other events, each with the time at which it came.
// Then the hung worker is killed. Its successor finds all that as a real outage leaves it, because it is one:
// the clock is past every deadline, and none may pass whose cancellation waits in the log. (It may read all of
// it at once; in internal/rehearse a slow broker sees to it that it cannot.)
func (s *shop) workerHangs(outage time.Duration) []*armed {
	s.t.Helper()
	all := s.arm("hung", 40)
	s.decided() // so the deadlines are in the rows, and the worker is at the end of the log
	c := s.child("worker")
	if err := syscall.Kill(c.Pid, syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	began := time.Now()
	s.settle(all)
	const pieces = 20
	for i := range pieces {
		s.views(20)
		pass(s.t, began.Add(outage*time.Duration(i+1)/pieces))
	}
	pass(s.t, time.Now().Add(shopGrace))
	s.kill("worker")
	s.back("worker", c.Restarts+1)
	s.views(20)
	return all
}

// wholeRunIsDown is an outage of everything. What arms deadlines is the last thing that comes in before it;
// afterwards the users' devices send what happened meanwhile, too late to cancel anything.
func (s *shop) wholeRunIsDown(outage time.Duration) []*armed {
	s.t.Helper()
	for range 5 {
		s.views(20)
	}
	all := s.arm("down", 20)
	s.stop()
	pass(s.t, time.Now().Add(outage))
	s.run()
	var late []shopCall
	for i, a := range all[:10] {
		c := s.track([...]string{"purchase", "deposit"}[i%2], a.added.UserID, nil)
		c.Timestamp = stamp(a.added.at(s.t).Add(outage / 4))
		s.calls[c.MessageID] = c
		late = append(late, c)
	}
	s.send(late...)
	for range 5 {
		s.views(20)
	}
	s.kill("worker")
	s.views(20)
	s.back("worker", 1)
	return all
}

// rehearse runs the campaigns over the file and returns the verdicts, as lines.
func (s *shop) rehearse(folder, file string, events int) []string {
	s.t.Helper()
	out := filepath.Join(s.t.TempDir(), "decisions.ndjson")
	text := s.dwell("campaign", "rehearse", folder, "--events", file, "--decisions", out, "--json", "--tenant", shopTenant, "--partitions", "4")
	var report rehearse.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		s.t.Fatal(err)
	}
	if report.Events != int64(events) || report.Unreadable != 0 || report.BackMS != 0 {
		s.t.Errorf("%d events were exported; the rehearsal: %d events, %d unreadable, %d ms back", events, report.Events, report.Unreadable, report.BackMS)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func decision(t *testing.T, line string) (d rehearse.Decision) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &d); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return d
}

// agree compares each user's verdicts byte for byte, in their order: ids, times, numbers and all. Left out
// are only users of whom a record may have come later than the grace.
func (s *shop) agree(live, rehearsed []string) {
	s.t.Helper()
	got, want := map[string][]string{}, map[string][]string{}
	kinds := map[string]int{}
	for _, l := range live {
		d := decision(s.t, l)
		got[d.User] = append(got[d.User], l)
		kinds[d.Verdict]++
		kinds[d.Campaign+" "+d.Verdict]++
	}
	for _, l := range rehearsed {
		u := decision(s.t, l).User
		want[u] = append(want[u], l)
	}
	users := map[string]bool{}
	for u := range maps.Keys(got) {
		users[u] = true
	}
	for u := range maps.Keys(want) {
		users[u] = true
	}
	wrong := 0
	for u := range users {
		if s.slow[u] || slices.Equal(got[u], want[u]) {
			continue
		}
		if wrong++; wrong > 3 {
			continue
		}
		i := 0
		for i < min(len(got[u]), len(want[u])) && got[u][i] == want[u][i] {
			i++
		}
		s.t.Errorf("%s: %d verdicts live, %d rehearsed; the first %d are the same, then\nlive      %s\nrehearsed %s",
			u, len(got[u]), len(want[u]), i, strings.Join(got[u][i:min(i+1, len(got[u]))], ""), strings.Join(want[u][i:min(i+1, len(want[u]))], ""))
	}
	if wrong > 0 {
		s.t.Errorf("%d of %d users have other verdicts live than rehearsed", wrong, len(users))
	}
	if len(s.slow) > len(users)/2 {
		s.t.Errorf("requests of %d users took longer than %v; %d have verdicts: this machine is too slow to say much", len(s.slow), shopGrace, len(users))
	}
	for _, k := range []string{
		engage.Duplicate, engage.Priority, engage.Control, engage.Converted, "engaged " + engage.Sent, "engaged " + engage.Late, "engaged " + engage.Reentry, "engaged " + engage.Capped,
		"reader " + engage.Sent, "reader " + engage.Quiet, "reader " + engage.Capped, "cart " + engage.Sent, "welcome " + engage.Delay, "welcome " + engage.Cancelled, "welcome " + engage.Sent,
	} {
		if kinds[k] == 0 {
			s.t.Errorf("no %s, so it tests little: %v", k, kinds)
		}
	}
}

// keptTime holds what was decided by deadlines against the calls alone, without any code of dwell: sent at
// the deadline, or cancelled by what was in the log before it.
func (s *shop) keptTime(live []string, outage time.Duration, to time.Time, all []*armed) {
	s.t.Helper()
	sent := map[string][]time.Time{}
	for _, l := range live {
		if d := decision(s.t, l); d.Verdict == engage.Sent {
			sent[d.Campaign+" "+d.User] = append(sent[d.Campaign+" "+d.User], d.Time)
		}
	}
	// Both spans are inclusive, so the absence is certain a millisecond after.
	const after = time.Millisecond
	fired, held := 0, 0
	for _, a := range all {
		user := a.added.UserID
		if s.slow[user] {
			continue
		}
		for _, c := range []struct {
			campaign string
			by       shopCall
			due      time.Time
		}{{"cart", a.bought, a.added.at(s.t).Add(outage/2 + outage/20 + after)}, {"welcome", a.paid, a.signed.at(s.t).Add(outage / 2)}} {
			got := sent[c.campaign+" "+user]
			if c.by.UserID != "" {
				if !c.by.at(s.t).Before(c.due) {
					continue // this machine was too slow to be in time
				}
				held++
				if len(got) != 0 {
					s.t.Errorf("%s: %s was sent at %v; it was cancelled at %s, due at %v", user, c.campaign, got, c.by.Timestamp, c.due)
				}
				continue
			}
			if c.due.After(to) {
				s.t.Errorf("%s: %s is due at %v, after the last event at %v", user, c.campaign, c.due, to)
			}
			fired++
			if len(got) != 1 || (c.campaign == "cart" && !got[0].Equal(c.due)) {
				s.t.Errorf("%s: %s was sent at %v, want once at %v", user, c.campaign, got, c.due)
			}
		}
	}
	if fired < 20 || held < 10 {
		s.t.Errorf("%d deadlines came and %d were cancelled, so it tests little", fired, held)
	}
}
