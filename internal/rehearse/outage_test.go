package rehearse

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// waiters are decided by deadlines of five minutes, and cancelled until then.
func waiters(t *testing.T) []*campaign.Campaign {
	t.Helper()
	return parseAll(t,
		campaign.New("cart").When(campaign.Absent(campaign.Event("cart_add"), campaign.Event("purchase")).Within(5*time.Minute).AllowedLateness(0)).Send(campaign.Popup("cart")),
		campaign.New("welcome").When(campaign.Count(campaign.Event("signup"), 1).Within(time.Hour)).
			Delay(5*time.Minute).CancelOn(campaign.Event("deposit")).Send(campaign.Popup("welcome")),
	)
}

// outageLog is ten minutes: all users fill a cart and sign up at the beginning, half of them take it back after
// four minutes, and between comes much that nobody waits for.
func outageLog(from time.Time, users, busy int) []string {
	var lines []string
	add := func(after time.Duration, user, event string) {
		lines = append(lines, fmt.Sprintf(`{"type":"track","event":%q,"messageId":"m%d","userId":%q,"receivedAt":%q}`, event, len(lines), user, from.Add(after).Format(time.RFC3339Nano)))
	}
	for u := range users {
		add(0, fmt.Sprint("u", u), "cart_add")
		add(0, fmt.Sprint("u", u), "signup")
	}
	for i := range busy {
		add(time.Minute+time.Duration(i)*time.Millisecond, fmt.Sprint("busy", i%97), "view")
	}
	for u := range users / 2 {
		add(4*time.Minute, fmt.Sprint("u", 2*u), "purchase")
		add(4*time.Minute, fmt.Sprint("u", 2*u), "deposit")
	}
	for i := range 97 {
		add(10*time.Minute, fmt.Sprint("busy", i), "view")
	}
	return lines
}

// slow lets a fetch have no more than a batch or two.
func (w *world) slow() {
	w.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.fake.KeepControl()
		f := r.(*kmsg.FetchRequest)
		f.MaxBytes = 1
		for i := range f.Topics {
			for j := range f.Topics[i].Partitions {
				f.Topics[i].Partitions[j].PartitionMaxBytes = 1
			}
		}
		return nil, nil, false
	})
}

// shift runs a worker until it has committed so many events more, or there are no more; it returns how many
// are committed then.
func (w *world) shift(dir string, more, all int64) int64 {
	w.t.Helper()
	d := livetest.Decide(w.t, w.cfg, "one", dir)
	before := w.committed()
	w.until("some events committed", func() bool { return w.committed() >= min(before+more, all) })
	d.Stop()
	return w.committed()
}

// The log's times are those of ten minutes that ended two minutes ago; workers come and go while it is read, in
// small pieces. A worker that has not read its inputs to their ends knows no time but that of the records, so
// each leaves what one leaves that fell over at that record's time, and the next finds what a worker finds
// after minutes of outage: a clock that is past all deadlines, and in the log, behind much else, what cancels
// half of them.
func TestNothingFiresWhileItsCancellationWaitsInTheBacklog(t *testing.T) {
	const users, busy = 40, 2000
	w := newWorld(t, waiters(t))
	lines := outageLog(time.Now().Add(-12*time.Minute).UTC().Truncate(time.Millisecond), users, busy)
	total := int64(0)
	for piece := range slices.Chunk(lines, 10) { // a batch a partition each
		total += w.produce(strings.Join(piece, "\n"))
	}
	w.slow()
	dir, outages := t.TempDir(), 0
	for at := int64(0); at < total; {
		at = w.shift(dir, 500, total)
		if at < total-2*users && at >= 2*users {
			outages++
		}
	}
	if outages < 2 {
		t.Errorf("%d workers fell over between the deadlines' beginning and their end, so it tests little", outages)
	}

	rehearsed, _ := w.rehearse(strings.Join(lines, "\n"))
	// The last one may have fallen over before it knew that its other inputs have nothing more: deadlines wait for that.
	last := livetest.Decide(t, w.cfg, "one", dir)
	w.until("all deadlines", func() bool { return len(w.verdicts()) >= len(rehearsed) })
	last.Stop()
	live := w.verdicts()
	got, want := byUser(t, live), byUser(t, rehearsed)
	for u := range users {
		user, n := fmt.Sprint("u", u), map[string]int{}
		for _, v := range live {
			if v.User == user && v.Verdict == engage.Sent {
				n[v.Campaign]++
			}
		}
		if sent := u % 2; n["cart"] != sent || n["welcome"] != sent {
			t.Errorf("%s: sent %v, want each %d times", user, n, sent)
		}
		if !slices.EqualFunc(got[user], want[user], bytes.Equal) {
			t.Errorf("%s: %d verdicts live, %d rehearsed, and not the same", user, len(got[user]), len(want[user]))
		}
	}
	if len(got) != len(want) || len(want) != users {
		t.Errorf("%d users have verdicts live, %d rehearsed", len(got), len(want))
	}
}
