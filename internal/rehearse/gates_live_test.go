package rehearse

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// everyGate are campaigns that between them have every gate and every kind of pattern.
func everyGate(t *testing.T) []*campaign.Campaign {
	t.Helper()
	bet, deposit, cart := campaign.Event("bet"), campaign.Event("deposit"), campaign.Event("cart_add")
	win, loss := bet.Where(`event.result == "win"`), bet.Where(`event.result == "loss"`)
	return parseAll(t,
		campaign.New("streak").Tags("promo").When(campaign.Count(win, 3).Until(loss).Within(20*time.Minute)).
			Slot("page").Priority(20).Cap("channel", 3, time.Hour).Holdout(0.3).Variant("a", 1).Variant("b", 2).
			Converts(deposit.Where("event.amount > 20"), time.Hour).Send(campaign.Popup("streak").Variant("b", campaign.Popup("streak/b"))),
		campaign.New("later").Tags("promo").When(campaign.Count(deposit, 2).Within(30*time.Minute).AfterMatch(campaign.SkipToNext)).
			Delay(10*time.Minute).CancelOn(loss).Slot("page").Cap("tag:promo", 4, 3*time.Hour).Send(campaign.Popup("later").Expire(time.Hour)),
		campaign.New("night").When(campaign.Sequence(bet, deposit, bet).Within(20*time.Minute)).
			QuietHours(campaign.Quiet("22:00", "08:00")).CancelOn(deposit.Where("event.amount < 3")).Reentry(campaign.Cooldown(15*time.Minute)).Send(campaign.Popup("night")),
		campaign.New("never").When(campaign.AllOf(bet, deposit, cart).Within(20*time.Minute)).
			QuietHours(campaign.Quiet("21:00", "23:30").Zone("Europe/London").Cancel()).Slot("page").Send(campaign.Popup("never")),
		campaign.New("carts").When(campaign.Absent(cart, campaign.Event("purchase")).Restart().Within(10*time.Minute).Correlate("event.cart")).
			Reentry(campaign.Cooldown(30*time.Minute)).Holdout(0.2).Salt("one").Converts(campaign.Event("purchase"), 2*time.Hour).Send(campaign.Popup("carts")),
		campaign.New("spender").When(campaign.Sum(deposit, "event.amount").Above(80).Within(time.Hour)).Cap("campaign", 1, 2*time.Hour).Send(campaign.Popup("spender")),
		campaign.New("same-cart").When(campaign.Count(cart, 2).Within(time.Hour).Correlate("event.cart").AllowedLateness(time.Minute)).
			Reentry(campaign.Once()).Send(campaign.Popup("same-cart")),
		campaign.New("watched").State(campaign.Shadow).When(campaign.AnyOf(deposit.Where("event.amount > 45"), loss)).Cap("global", 2, time.Hour).Send(campaign.Popup("watched")),
	)
}

// busyLog is NDJSON of an evening and a night: duplicates, events that are late and too late, ones
// without an id, and users who say where they are.
func busyLog(seed uint64, n, users int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	at := time.Date(2026, 10, 24, 19, 0, 0, 0, time.UTC) // the clocks change in the night
	var b strings.Builder
	for u := range users {
		if zone := [...]string{"Europe/London", "Asia/Tokyo", "America/New_York", ""}[u%4]; zone != "" {
			fmt.Fprintf(&b, `{"type":"identify","userId":"u%d","messageId":"z%d","receivedAt":%q,"traits":{"timezone":%q}}`+"\n", u, u, at.Format(time.RFC3339Nano), zone)
		}
	}
	var again string
	for i := range n {
		at = at.Add(time.Duration(r.IntN(20_000)) * time.Millisecond)
		event := at
		if r.IntN(4) == 0 {
			event = at.Add(-time.Duration(r.IntN(90_000)) * time.Millisecond)
		}
		id := fmt.Sprintf(`"messageId":"m%d",`, i)
		if r.IntN(20) == 0 {
			id = ""
		}
		name, props := "bet", fmt.Sprintf(`{"result":%q}`, [...]string{"win", "win", "win", "loss"}[r.IntN(4)])
		switch r.IntN(8) {
		case 0, 1:
			name, props = "deposit", fmt.Sprintf(`{"amount":%d}`, 1+r.IntN(50))
		case 2:
			name, props = "cart_add", fmt.Sprintf(`{"cart":"c%d"}`, r.IntN(3))
		case 3:
			name, props = "purchase", fmt.Sprintf(`{"cart":"c%d"}`, r.IntN(3))
		}
		body := fmt.Sprintf(`"type":"track","event":%q,%s"userId":"u%d","timestamp":%q,"properties":%s}`, name, id, r.IntN(users), event.Format("2006-01-02T15:04:05.000Z07:00"), props)
		if again != "" && r.IntN(10) == 0 {
			body = again // the client sends it once more
		}
		again = body
		fmt.Fprintf(&b, `{"receivedAt":%q,`+"%s\n", at.Format(time.RFC3339Nano), body)
	}
	return b.String()
}

// byUser are the verdicts' bytes in the order in which each user got them.
func byUser(t *testing.T, all []*schemas.Verdict) map[string][][]byte {
	t.Helper()
	out := map[string][][]byte{}
	for _, v := range all {
		b, err := topics.Verdicts.Codec.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		out[v.User] = append(out[v.User], b)
	}
	return out
}

func TestLiveAndRehearsalAgreeByteForByteOnEveryGate(t *testing.T) {
	for _, c := range []struct {
		seed    uint64
		workers int
	}{{11, 1}, {12, 2}} {
		t.Run(fmt.Sprintf("seed %d, %d workers", c.seed, c.workers), func(t *testing.T) {
			log := busyLog(c.seed, 3000, 20)
			w := newWorld(t, everyGate(t))
			w.work(c.workers)
			w.decided(w.produce(log))
			rehearsed, report := w.rehearse(log)
			live := w.live(report.To, len(rehearsed))
			got, want := byUser(t, rehearsed), byUser(t, live)
			for user, w := range want {
				if g := got[user]; !slices.EqualFunc(g, w, bytes.Equal) {
					i := 0
					for i < min(len(g), len(w)) && bytes.Equal(g[i], w[i]) {
						i++
					}
					t.Errorf("%s: %d verdicts rehearsed, %d live; the first %d are the same", user, len(g), len(w), i)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d users have verdicts in the rehearsal, %d live", len(got), len(want))
			}
			kinds, variants := map[string]int{}, map[string]int{}
			for _, v := range live {
				kinds[v.Verdict]++
				variants[v.Variant]++
			}
			for _, k := range []string{
				engage.Sent, engage.Late, engage.Duplicate, engage.Reentry, engage.Delay, engage.Cancelled, engage.Quiet, engage.Priority, engage.Capped, engage.Control, engage.Converted,
			} {
				if kinds[k] == 0 {
					t.Errorf("the log leads to no %s, so it tests little: %v", k, kinds)
				}
			}
			if variants["a"] == 0 || variants["b"] == 0 {
				t.Errorf("variants: %v", variants)
			}
		})
	}
}
