package audience

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const patience = livetest.Patience

const vipFile = `apiVersion: dwell/v1
kind: Audience
metadata: {name: vip}
spec: {list: true}
---
apiVersion: dwell/v1
kind: Audience
metadata: {name: gb}
spec: {where: 'user.country == "GB"'}
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: offer}
spec:
  state: live
  audience: {include: [vip]}
  trigger: {pattern: {count: {event: bet, times: 1}}}
  channels: [{type: popup, content: popup/offer}]
`

// world is a broker in this process, with the declarations of vipFile for two tenants.
type world struct {
	t   *testing.T
	cfg kafka.Config
	cl  *kgo.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, cfg: livetest.Kafka(t, 4)}
	var err error
	if w.cl, err = w.cfg.NewClient("test", kafka.ProducerOptions()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	f, err := campaign.ParseFile("vip.yaml", []byte(vipFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"demo", "other"} {
		if _, err := declare.ApplyAll(t.Context(), w.cfg, tenant, declare.Documents(*f), false); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// work runs the engage processor as an instance of its own until the test ends.
func (w *world) work(instance string) {
	w.t.Helper()
	w.until("ready", livetest.Decide(w.t, w.cfg, instance, w.t.TempDir()).Ready)
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	livetest.Until(w.t, what, ok)
}

func (w *world) load(l Load, file string, members io.Reader) (*List, error) {
	l.Cluster, l.Tenant, l.Name = w.cfg, "demo", "vip"
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	return l.Run(ctx, file, members)
}

// inside waits until exactly these of the users are in the list.
func (w *world) inside(tenant string, want ...string) {
	w.t.Helper()
	var got []string
	w.until(fmt.Sprintf("%s: %v", tenant, want), func() bool {
		got = nil
		for _, u := range []string{"ann", "bob", "cat"} {
			s, err := Show(w.t.Context(), w.cfg, tenant, "vip", u, time.Now())
			if err != nil {
				w.t.Fatal(err)
			}
			if s.In {
				got = append(got, u)
			}
		}
		return slices.Equal(got, want)
	})
}

// bet is an event of a user; it returns the verdict on it.
func (w *world) bet(tenant, user, id string) string {
	w.t.Helper()
	e := &schemas.Event{Id: id, Tenant: tenant, UserId: user, Type: "track", Name: "bet", TimeMs: time.Now().UnixMilli()}
	b, err := topics.Events.Codec.Append(nil, e)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: topics.Events.Name, Key: []byte(e.Key()), Value: b}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	found := ""
	w.until("a verdict on "+id, func() bool {
		err := kafka.ReadAll(w.t.Context(), w.cfg, topics.Verdicts.Spec, func(e kafka.Entry) error {
			v, err := topics.Verdicts.Codec.Decode(bytes.Clone(e.Value))
			if err == nil && v.EventId == id {
				found = v.Verdict
			}
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
		return found != ""
	})
	return found
}

func TestALoadSwitchesAllUsersAtOnce(t *testing.T) {
	w := newWorld(t)
	w.work("one")
	if v := w.bet("demo", "ann", "1"); v != engage.Outside {
		t.Errorf("before any load: %s", v)
	}
	var phases []string
	first, err := w.load(Load{Tell: func(p Progress) { phases = append(phases, p.Phase) }}, "vip.csv", strings.NewReader("user_id,since\nann,2020\nbob,2021\n\n\"cat\",\"a, b\"\n"))
	if err != nil || first.Members != 3 {
		t.Fatalf("%+v, %v", first, err)
	}
	if phases[0] != Writing || phases[len(phases)-1] != Switching {
		t.Errorf("phases are %v", phases)
	}
	w.inside("demo", "ann", "bob", "cat")
	w.inside("other")
	if _, err := declare.Wait(t.Context(), w.cfg); err != nil && !errors.Is(err, declare.ErrNoWorker) {
		t.Fatal(err)
	}
	w.until("ann's turn", func() bool { return w.bet("demo", "ann", fmt.Sprint("2-", time.Now().UnixNano())) == engage.Sent })
	if v := w.bet("other", "ann", "3"); v != engage.Outside {
		t.Errorf("another tenant's list: %s", v)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, "bob\r\n") //nolint:errcheck // a buffer
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := w.load(Load{}, "vip.csv.gz", &packed)
	if err != nil || second.Version <= first.Version || second.Members != 1 {
		t.Fatalf("%+v, %v", second, err)
	}
	w.inside("demo", "bob")
	w.until("ann is out", func() bool { return w.bet("demo", "ann", fmt.Sprint("4-", time.Now().UnixNano())) == engage.Outside })
	all, err := Lists(t.Context(), w.cfg, "demo")
	if err != nil || len(all) != 2 || all[1].Name != "vip" || all[1].Current.Version != second.Version || all[1].Current.File != "vip.csv.gz" || all[0].Where == "" {
		t.Errorf("lists are %+v, %v", all, err)
	}
	if _, err := Drop(t.Context(), w.cfg, "demo", "vip"); err != nil {
		t.Fatal(err)
	}
	w.inside("demo")
}

func TestALoadThatStopsCanGoOn(t *testing.T) {
	w := newWorld(t)
	const flush = 2000
	n := flush + 10
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "user%d\n", i)
	}
	file.WriteString("ann\n")
	ctx, cancel := context.WithCancel(t.Context())
	var at Progress
	l := Load{Cluster: w.cfg, Tenant: "demo", Name: "vip", flush: flush, Tell: func(p Progress) {
		if p.Line > 0 {
			at = p
			cancel()
		}
	}}
	_, err := l.Run(ctx, "vip.csv", strings.NewReader(file.String()))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), fmt.Sprintf("--resume %d:%d", at.Version, flush)) {
		t.Fatalf("at %+v: %v", at, err)
	}
	if all, err := Lists(t.Context(), w.cfg, "demo"); err != nil || all[1].Current.Version != 0 {
		t.Fatalf("half a list is current: %+v, %v", all, err)
	}
	ends := func() (sum int64) {
		all, err := kafka.Ends(t.Context(), w.cfg, topics.Members.Spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			sum += e
		}
		return sum
	}
	if got := ends(); got != flush {
		t.Errorf("%d members were written", got)
	}
	w.work("one")
	w.work("two")
	list, err := w.load(Load{Version: at.Version, After: at.Line}, "vip.csv", strings.NewReader(file.String()))
	if err != nil || list.Version != at.Version || list.Members != int64(n+1) {
		t.Fatalf("%+v, %v", list, err)
	}
	if got := ends(); got != int64(n+1) {
		t.Errorf("%d members were written in all", got)
	}
	w.inside("demo", "ann")
	if _, err := w.load(Load{Version: at.Version, After: at.Line}, "vip.csv", strings.NewReader("bob\n")); err == nil || !strings.Contains(err.Error(), "is over") {
		t.Errorf("a version that is over is loaded: %v", err)
	}
}

func TestBadLinesAreNamedAndKeepTheVersionBack(t *testing.T) {
	w := newWorld(t)
	w.work("one")
	file := "ann\n \n,x\n\"bob\n" + strings.Repeat("y", schemas.MaxIDBytes+1) + "\n\xff\ncat\n"
	_, err := w.load(Load{}, "dir/m.csv", strings.NewReader(file))
	if !errors.Is(err, ErrBadLines) {
		t.Fatal(err)
	}
	for _, want := range []string{"m.csv:3: has no user id", "m.csv:4: is no line of CSV", "m.csv:5: has a user id of 257 bytes", "m.csv:6: is not UTF-8", "4 lines"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	w.inside("demo")
	list, err := w.load(Load{SkipBad: true}, "m.csv", strings.NewReader(file))
	if err != nil || list.Members != 2 || list.Bad != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	w.inside("demo", "ann", "cat")
	for name, in := range map[string]string{"too long": strings.Repeat("x", maxLineBytes+1), "broken gzip": "\x1f\x8bxxx", "empty": "", "a header only": "user_id\n"} {
		if _, err := w.load(Load{}, "m.csv", strings.NewReader(in)); err == nil {
			t.Errorf("%s is loaded", name)
		}
	}
}

func TestOnlyADeclaredListIsLoaded(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]string{"gb": "goes by a rule", "nobody": "has no audience"} {
		l := Load{Cluster: w.cfg, Tenant: "demo", Name: name}
		if _, err := l.Run(t.Context(), "m.csv", strings.NewReader("ann\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Without a worker nobody has read the members: nothing is switched.
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	l := Load{Cluster: w.cfg, Tenant: "demo", Name: "vip"}
	if _, err := l.Run(ctx, "m.csv", strings.NewReader("ann\n")); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 records to read yet") {
		t.Error(err)
	}
	if _, err := Drop(t.Context(), w.cfg, "demo", "vip"); err == nil {
		t.Error("what was never loaded is dropped")
	}
}
