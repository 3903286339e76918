package integration

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/topics"
)

const shopTenant = "shop"

// shopGrace is how late a record may come into the log, counted from its own time, before a worker that has
// read the log to its end may let a deadline pass. A record's time is taken before it is written and the
// request is answered after, so one whose request took less came in time.
const shopGrace = time.Second

// shopCampaigns has every kind of gate that time decides. Spans are shares of the outage, so that each
// outage, short or long, has deadlines before, in and behind it. The quiet hours are now in UTC and not in Tokyo.
func shopCampaigns(outage time.Duration, now time.Time) string {
	clock := func(d time.Duration) string { return now.UTC().Add(d).Format("15:04") }
	const text = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: engaged, tags: [promo]}
spec:
  state: live
  trigger:
    pattern: {count: {event: view, where: 'event.status == 200', times: 3}}
    until: [{event: view, where: 'event.status >= 300'}]
    within: OUTAGE
    allowed_lateness: OUTAGE/20
  reentry: {mode: cooldown, every: OUTAGE/4}
  priority: 20
  slot: page
  caps: [{scope: campaign, max: 2, per: 2h}]
  experiment: {holdout: 30%, salt: engaged/1, variants: [{name: a, weight: 1}, {name: b, weight: 2}]}
  conversion: {events: [{event: view, where: 'event.kind == "page"', within: OUTAGE}]}
  channels: [{type: popup, content: a, variants: {b: {content: b}}}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: reader, tags: [promo]}
spec:
  state: live
  trigger:
    pattern: {sequence: [{event: view, where: 'event.kind == "page"'}, {event: view, where: 'event.kind == "file"'}]}
    within: OUTAGE
    after_match: skip_to_next
  response: {quiet_hours: {from: "FROM", to: "TO", zone: user, action: defer}}
  slot: page
  caps: [{scope: "tag:promo", max: 3, per: 2h}]
  channels: [{type: popup, content: c}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: cart}
spec:
  state: live
  trigger:
    pattern: {absence: {event: cart_add, not: {event: purchase}, restart: false}}
    within: OUTAGE/2
    allowed_lateness: OUTAGE/20
  channels: [{type: popup, content: d}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: welcome}
spec:
  state: live
  trigger:
    pattern: {count: {event: signup, times: 1}}
    within: 1h
  response: {delay: OUTAGE/2, cancel_on: [{event: deposit}]}
  channels: [{type: popup, content: e}]
`
	return strings.NewReplacer("OUTAGE/20", (outage / 20).String(), "OUTAGE/4", (outage / 4).String(), "OUTAGE/2", (outage / 2).String(), "OUTAGE", outage.String(),
		"FROM", clock(-2*time.Hour), "TO", clock(3*time.Hour)).Replace(text)
}

// shopCall is one call in the Segment shape, as SDKs send it and warehouses export it. The gateway knows
// no receivedAt: the export has it from the log.
type shopCall struct {
	ReceivedAt string         `json:"receivedAt,omitempty"`
	Type       string         `json:"type"`
	Event      string         `json:"event,omitempty"`
	MessageID  string         `json:"messageId"`
	UserID     string         `json:"userId"`
	Timestamp  string         `json:"timestamp"`
	Properties map[string]any `json:"properties,omitempty"`
	Traits     map[string]any `json:"traits,omitempty"`
}

func (c shopCall) at(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, c.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// shop sends the requests of a real web log as the visitors' calls, and what the story's users do.
type shop struct {
	*site
	key    string
	random *rand.Rand
	log    []*hit
	late   time.Duration // the most by which a call may be older than its arrival

	calls map[string]shopCall // what was sent, by message id
	known map[string]bool     // visitors that have said where they are
	slow  map[string]bool     // users of whom a record may have come later than the grace
	last  []shopCall
}

func newShop(s *site, outage time.Duration) *shop {
	s.t.Helper()
	sh := &shop{site: s, random: rand.New(rand.NewPCG(5, 5)), late: outage / 8, calls: map[string]shopCall{}, known: map[string]bool{}, slow: map[string]bool{}}
	f, err := os.Open(logFile)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		s.t.Fatal(err)
	}
	for in := bufio.NewScanner(z); in.Scan(); {
		if m := combined.FindStringSubmatch(in.Text()); m != nil {
			sh.log = append(sh.log, &hit{user: m[1], path: m[4], status: m[5]})
		}
	}
	sh.key = strings.TrimSpace(s.dwell("key", "create", "web", "--tenant", shopTenant))
	return sh
}

// track makes a call of a user, as of now.
func (s *shop) track(event, user string, properties map[string]any) shopCall {
	c := shopCall{Type: "track", Event: event, UserID: user, Timestamp: stamp(time.Now()), Properties: properties}
	c.MessageID = "m" + strconv.Itoa(len(s.calls))
	s.calls[c.MessageID] = c
	return c
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// views sends the next n requests of the log: some come late, some twice, and a new visitor says first
// where it is.
func (s *shop) views(n int) {
	s.t.Helper()
	var all []shopCall
	for _, h := range s.log[:n] {
		if !s.known[h.user] {
			s.known[h.user] = true
			c := s.track("", h.user, nil)
			c.Type, c.Traits = "identify", map[string]any{"timezone": [...]string{"Asia/Tokyo", "UTC"}[len(s.known)%2]}
			s.calls[c.MessageID] = c
			all = append(all, c)
		}
		kind := "page"
		if path.Ext(h.path) != "" {
			kind = "file"
		}
		status, _ := strconv.Atoi(h.status) // three digits, by the expression
		c := s.track("view", h.user, map[string]any{"path": h.path, "status": status, "kind": kind})
		if s.random.IntN(8) == 0 {
			c.Timestamp = stamp(time.Now().Add(-time.Duration(s.random.Int64N(int64(s.late)))))
			s.calls[c.MessageID] = c
		}
		all = append(all, c)
	}
	s.log = s.log[n:]
	if len(s.last) > 0 {
		all = append(all, s.last[s.random.IntN(len(s.last))])
	}
	s.send(all...)
	s.last = all
}

// send posts calls in one batch until the gateway has taken them. Batches go out one after the other, so the
// times of a partition's records never go back.
func (s *shop) send(calls ...shopCall) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"batch": calls})
	if err != nil {
		s.t.Fatal(err)
	}
	var fault string
	waitFor(s.t, func() bool {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url("/v1/batch"), bytes.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		req.SetBasicAuth(s.key, "")
		began := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if time.Since(began) >= shopGrace {
			for _, c := range calls {
				s.slow[c.UserID] = true
			}
		}
		if err != nil {
			fault = err.Error()
			return false
		}
		defer resp.Body.Close()
		fault = resp.Status
		return resp.StatusCode == http.StatusOK
	}, func() string { return "calls are not taken: " + fault })
}

// cluster reaches the site's brokers.
func (s *shop) cluster() kafka.Config {
	c := kafka.DefaultConfig()
	c.Brokers, c.Partitions = []string{s.brokers}, 4
	return c
}

// decided waits until the group has read all events that there are.
func (s *shop) decided() {
	s.t.Helper()
	cl, err := s.cluster().NewClient("test")
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	why := ""
	waitFor(s.t, func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		ends, err := adm.ListCommittedOffsets(ctx, topics.Events.Name)
		if err != nil {
			why = err.Error()
			return false
		}
		at, err := adm.FetchOffsets(ctx, "dwell.engage")
		if err != nil {
			why = err.Error()
			return false
		}
		behind := int64(0)
		ends.Each(func(e kadm.ListedOffset) {
			o, _ := at.Lookup(e.Topic, e.Partition)
			behind += e.Offset - max(o.At, 0)
		})
		why = fmt.Sprintf("%d events behind", behind)
		return behind == 0
	}, func() string { return "not all events are decided: " + why })
}

// export is the tenant's log as a file: every call as it was sent, in the order and with the time in which
// the log has it. It returns the time of the last.
func (s *shop) export(file string) (events int, to time.Time) {
	s.t.Helper()
	var all []shopCall
	times := map[int32]time.Time{}
	err := kafka.ReadAll(s.t.Context(), s.cluster(), topics.Events.Spec, func(e kafka.Entry) error {
		ev, err := topics.Events.Codec.Decode(e.Value)
		if err != nil {
			return err
		}
		if e.Time.Before(times[e.At.Partition]) {
			s.t.Errorf("%s is earlier than the record before it", e.At)
		}
		times[e.At.Partition] = e.Time
		c, ok := s.calls[ev.Id]
		if !ok {
			s.t.Errorf("nobody sent %s at %s", ev.Id, e.At)
		}
		c.ReceivedAt = stamp(e.Time)
		all = append(all, c)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	// Those of one partition stay in their order.
	slices.SortStableFunc(all, func(a, b shopCall) int { return strings.Compare(a.ReceivedAt, b.ReceivedAt) })
	f, err := os.Create(file)
	if err != nil {
		s.t.Fatal(err)
	}
	out := json.NewEncoder(f)
	for _, c := range all {
		if err := out.Encode(c); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
	if to, err = time.Parse(time.RFC3339, all[len(all)-1].ReceivedAt); err != nil {
		s.t.Fatal(err)
	}
	return len(all), to
}

// verdicts are what the worker has decided up to a moment, as lines, in the order in which each user got
// them. It goes on deciding after that: deadlines come.
func (s *shop) verdicts(to time.Time) []string {
	s.t.Helper()
	var lines []string
	err := kafka.ReadAll(s.t.Context(), s.cluster(), topics.Verdicts.Spec, func(e kafka.Entry) error {
		v, err := topics.Verdicts.Codec.Decode(bytes.Clone(e.Value))
		if err != nil || v.Tenant != shopTenant || v.DecidedMs > to.UnixMilli() {
			return err
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(rehearse.DecisionOf(v)); err != nil {
			return err
		}
		lines = append(lines, strings.TrimSuffix(b.String(), "\n"))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return lines
}
