package dispatch

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func TestPushedAtOnce(t *testing.T) {
	w := newWorld(t)
	n := w.node(seen)
	w.present("shop", "ann", n.URL)
	reg := prometheus.NewRegistry()
	w.engage(Deps{Registerer: reg})
	expires := time.Now().Add(time.Hour).UnixMilli()
	w.act("a1", "shop", "ann", func(a *schemas.Action) { a.ExpiresMs = expires })
	d := w.await("a1", "pushed")
	if d.Campaign != "hot-streak" || d.Channel != "popup" || d.MatchId != "m-a1" || d.Version != "v1" || d.Variant != "boost50" || d.TimeMs == 0 || d.Error != "" {
		t.Errorf("delivery = %v", d)
	}
	p := n.got[0]
	if p.Tenant != "shop" || p.User != "ann" || p.MatchID != "m-a1" || p.Version != "v1" || p.Variant != "boost50" || p.Channel != "popup" {
		t.Errorf("push = %+v", p)
	}
	a := p.Action
	if a.ID != "a1" || a.Campaign != "hot-streak" || a.Content != "popup/boost50" || a.Slot != "page_popup" || a.ExpiresMS != expires || string(a.Payload) != `{"title":"Hi"}` {
		t.Errorf("action = %+v", a)
	}
	demandMetrics(t, reg)
}

// demandMetrics looks for one push in what is gathered.
func demandMetrics(t *testing.T, reg *prometheus.Registry) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range families {
		m := f.GetMetric()[0]
		found[f.GetName()] = m.GetCounter().GetValue() == 1 || m.GetHistogram().GetSampleCount() == 1 || m.GetGauge() != nil
	}
	for _, name := range []string{"dwell_engager_deliveries_total", "dwell_engager_tries_total", "dwell_decision_to_push_seconds", "dwell_engager_waiting_actions", "dwell_engager_open_tries"} {
		if !found[name] {
			t.Errorf("metric %s is missing or wrong", name)
		}
	}
}

func TestWaitsForTheUser(t *testing.T) {
	w := newWorld(t)
	n := w.node(seen)
	e := w.engage(Deps{})
	w.act("a1", "shop", "ann")
	w.act("b1", "shop", "bob")
	eventually(t, "both to wait", func() bool { return e.Status().Waiting == 2 })
	w.present("shop", "ann", n.URL)
	w.await("a1", "pushed")
	if len(w.of("b1")) != 0 || e.Status().Waiting != 1 {
		t.Errorf("bob's action did not stay: %v", e.Status())
	}
}

func TestExpiresWhileWaiting(t *testing.T) {
	w := newWorld(t)
	c := newClock()
	e := w.engage(Deps{Now: c.Now})
	w.act("soon", "shop", "ann", func(a *schemas.Action) { a.ExpiresMs = c.Now().Add(30 * time.Second).UnixMilli() })
	w.act("late", "shop", "ann", func(a *schemas.Action) { a.ExpiresMs = c.Now().Add(time.Hour).UnixMilli() })
	w.act("never", "shop", "ann")
	w.act("old", "shop", "bob", func(a *schemas.Action) { a.ExpiresMs = 1_420_070_400_000 })
	w.await("old", "expired")
	eventually(t, "the others to wait", func() bool { return e.Status().Waiting == 3 })
	c.advance(31 * time.Second)
	w.await("soon", "expired")
	c.advance(time.Hour)
	w.await("late", "expired")
	if got := w.of("never"); len(got) != 0 {
		t.Errorf("without an expiry: %v", got)
	}
	c.advance(24 * time.Hour)
	w.await("never", "expired")
}

func TestDeadNodeThenNewPresence(t *testing.T) {
	w := newWorld(t)
	dead, alive := w.node(seen), w.node(seen)
	dead.CloseClientConnections()
	dead.Close()
	w.present("shop", "ann", dead.URL)
	e := w.engage(Deps{})
	w.act("a1", "shop", "ann")
	eventually(t, "the node to be noticed", func() bool {
		s := e.Status()
		return len(s.Lanes) == 1 && s.Lanes[0].Failures >= 2
	})
	w.present("shop", "ann", alive.URL)
	w.await("a1", "pushed")
}

func TestNodeThatComesBackIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	var down atomic.Bool
	down.Store(true)
	n := w.node(func(p push) (int, string) {
		if down.Load() {
			return http.StatusServiceUnavailable, "draining"
		}
		return seen(p)
	})
	w.present("shop", "ann", n.URL)
	e := w.engage(Deps{})
	w.act("a1", "shop", "ann")
	eventually(t, "two tries", func() bool { return len(n.ids()) >= 2 })
	if len(w.of("a1")) != 0 || e.Status().Waiting+e.Status().Open == 0 {
		t.Errorf("given up: %v", w.of("a1"))
	}
	down.Store(false)
	w.await("a1", "pushed")
}

func TestAnswersOfTheNode(t *testing.T) {
	w := newWorld(t)
	var again atomic.Int32
	n := w.node(func(p push) (int, string) {
		switch p.User {
		case "noreply":
			return http.StatusGatewayTimeout, `{"status":"pushed"}`
		case "bad":
			return http.StatusBadRequest, "no such slot"
		case "flaky":
			if again.Add(1) < 3 {
				return http.StatusInternalServerError, "oops"
			}
		}
		return 200, `{"status":"duplicate"}`
	})
	e := w.engage(Deps{})
	for _, u := range []string{"noreply", "bad", "flaky", "fine"} {
		w.present("shop", u, n.URL)
		w.act(u, "shop", u)
	}
	w.act("pigeon", "shop", "fine", func(a *schemas.Action) { a.Channel = "pigeon" })
	w.act("garbled", "shop", "fine", func(a *schemas.Action) { a.Payload = []byte(`{"title`) })
	w.await("noreply", "pushed")
	w.await("flaky", "pushed")
	w.await("fine", "pushed")
	for id, why := range map[string]string{"bad": "no such slot", "pigeon": `"pigeon"`, "garbled": "encode action garbled"} {
		if d := w.await(id, "failed"); !strings.Contains(d.Error, why) {
			t.Errorf("%s failed with %q", id, d.Error)
		}
	}
	if got := again.Load(); got != 3 {
		t.Errorf("flaky was tried %d times", got)
	}
	eventually(t, "all to be finished", func() bool { return unfinished(e) == 0 })
}

// unfinished is how many records are not finished.
func unfinished(e *engager) int {
	n := 0
	for _, p := range e.Status().Partitions {
		n += p.Unfinished
	}
	return n
}

func TestSlowNodeHoldsUpNobodyElse(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	slow := w.node(func(p push) (int, string) { <-release; return seen(p) })
	quick := w.node(seen)
	e := w.engage(Deps{}, func(c *Config) {
		c.Concurrency, c.PerNode = 8, 4
		c.Push.ReplyTimeout, c.Push.Slack = 500*time.Millisecond, time.Minute
		c.StopTimeout = patience
	})
	for i := range 20 {
		u := fmt.Sprintf("s%d", i)
		w.present("shop", u, slow.URL)
		w.act(u, "shop", u)
	}
	eventually(t, "the slow node to have its share", func() bool { return e.Status().Open == 4 })
	for i := range 50 {
		u := fmt.Sprintf("q%d", i)
		w.present("shop", u, quick.URL)
		w.act(u, "shop", u)
	}
	for i := range 50 {
		w.await(fmt.Sprintf("q%d", i), "pushed")
	}
	if len(slow.ids()) != 4 {
		t.Errorf("the slow node has %d calls, want 4", len(slow.ids()))
	}
	letGo()
	for i := range 20 {
		w.await(fmt.Sprintf("s%d", i), "pushed")
	}
}

func TestOrderPerUserIsTheLogs(t *testing.T) {
	w := newWorld(t)
	var tries atomic.Int32
	n := w.node(func(p push) (int, string) {
		if tries.Add(1)%5 == 0 {
			return http.StatusInternalServerError, "now and then"
		}
		return seen(p)
	})
	w.engage(Deps{})
	users := []string{"ann", "bob", "cid"}
	want := map[string][]string{}
	for i := range 15 {
		for _, u := range users {
			id := fmt.Sprintf("%s-%02d", u, i)
			want[u] = append(want[u], id)
			w.act(id, "shop", u)
		}
	}
	for _, u := range users {
		w.present("shop", u, n.URL)
	}
	for _, u := range users {
		for _, id := range want[u] {
			w.await(id, "pushed")
		}
		got := slices.DeleteFunc(n.ids(), func(id string) bool { return !strings.HasPrefix(id, u) })
		if got = slices.Compact(got); !slices.Equal(got, want[u]) { // a second try follows the first at once
			t.Errorf("pushed to %s: %v", u, got)
		}
	}
}

func TestTenantsDoNotMeet(t *testing.T) {
	w := newWorld(t)
	shop, bank := w.node(seen), w.node(seen)
	w.present("shop", "ann", shop.URL)
	w.present("bank", "ann", bank.URL)
	e := w.engage(Deps{})
	w.act("s", "shop", "ann")
	w.act("b", "bank", "ann")
	w.await("s", "pushed")
	w.await("b", "pushed")
	if !slices.Equal(shop.ids(), []string{"s"}) || !slices.Equal(bank.ids(), []string{"b"}) {
		t.Errorf("shop got %v, bank got %v", shop.ids(), bank.ids())
	}
	w.present("shop", "ann", "")
	eventually(t, "the tombstone to be read", func() bool { return e.Status().Users == 1 })
	w.act("s2", "shop", "ann")
	w.act("b2", "bank", "ann")
	w.await("b2", "pushed")
	if got := w.of("s2"); len(got) != 0 {
		t.Errorf("after the tombstone: %v", got)
	}
}

func TestForeignNodeIsNeverCalled(t *testing.T) {
	w := newWorld(t)
	n := w.node(seen)
	w.present("shop", "ann", n.URL)
	e := w.engage(Deps{}, func(c *Config) { c.Push.Nodes = []string{"10.0.0.0/8"} })
	w.act("a1", "shop", "ann")
	eventually(t, "the action to wait", func() bool { return e.Status().Waiting == 1 })
	if len(n.ids()) != 0 || e.Status().Users != 0 {
		t.Errorf("called %v, %d users", n.ids(), e.Status().Users)
	}
}

func TestOverloadIsReported(t *testing.T) {
	w := newWorld(t)
	e := w.engage(Deps{}, func(c *Config) { c.MaxWaiting = 5 })
	for i := range 12 {
		w.act(fmt.Sprintf("a%02d", i), "shop", "ann")
	}
	for i := range 7 {
		if d := w.await(fmt.Sprintf("a%02d", i), "failed"); !strings.Contains(d.Error, "overloaded") {
			t.Errorf("failed with %q", d.Error)
		}
	}
	eventually(t, "five to wait", func() bool { return e.Status().Waiting == 5 })
}

func TestUndecodableGoesToTheDeadLetters(t *testing.T) {
	w := newWorld(t)
	n := w.node(seen)
	w.present("shop", "ann", n.URL)
	e := w.engage(Deps{})
	w.produce(topics.Actions.Name, "shop/ann", []byte{0xff, 0xff})
	w.act("", "shop", "ann")
	w.act("a1", "shop", "ann")
	w.await("a1", "pushed")
	eventually(t, "two dead letters", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.letters) == 2
	})
	l := w.letters[0]
	if l.Topic != topics.Actions.Name || l.By != "engager" || string(l.Key) != "shop/ann" || len(l.Value) != 2 || l.Error == "" {
		t.Errorf("dead letter = %v", l)
	}
	eventually(t, "all to be finished", func() bool { return unfinished(e) == 0 })
}

func TestReportThatFailsIsWrittenAgain(t *testing.T) {
	w := newWorld(t)
	if w.cluster == nil {
		t.Skip("needs a broker that can be made to fail")
	}
	n := w.node(seen)
	w.present("shop", "ann", n.URL)
	e := w.engage(Deps{})
	var refusals atomic.Int32
	w.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		r := req.(*kmsg.ProduceRequest)
		if len(r.Topics) != 1 || !w.isDeliveries(r.Topics[0]) || refusals.Add(1) > 2 {
			return nil, nil, false
		}
		res := r.ResponseKind().(*kmsg.ProduceResponse)
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = r.Topics[0].Topic, r.Topics[0].TopicID
		for _, p := range r.Topics[0].Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.PolicyViolation.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		res.Topics = append(res.Topics, rt)
		return res, nil, true
	})
	w.act("a1", "shop", "ann")
	w.await("a1", "pushed")
	if refusals.Load() < 3 {
		t.Errorf("the broker refused %d times: the fault was not planted", refusals.Load())
	}
	if !slices.Equal(n.ids(), []string{"a1"}) {
		t.Errorf("pushed %v: a lost report is no reason to push again", n.ids())
	}
	eventually(t, "the record to be finished", func() bool { return unfinished(e) == 0 })
}

func (w *world) isDeliveries(t kmsg.ProduceRequestTopic) bool {
	if t.Topic != "" {
		return t.Topic == topics.Deliveries.Name
	}
	info := w.cluster.TopicInfo(topics.Deliveries.Name)
	return info != nil && info.TopicID == t.TopicID
}

// committed is what the group holds, by partition.
func (w *world) committed() map[int32]int64 {
	w.t.Helper()
	offsets, err := kadm.NewClient(w.cl).FetchOffsets(w.t.Context(), w.cfg.Group)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[int32]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { out[o.Partition] = o.At })
	return out
}
