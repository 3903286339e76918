package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const (
	secret = "s3cret-of-the-test"
	// patience is how long a test waits for what must come.
	patience = 30 * time.Second
)

// world is a broker with the topics, and a producer and reader beside the Engager under test.
type world struct {
	t       *testing.T
	cfg     Config
	cluster *kafkatest.Cluster // nil on a real broker
	cl      *kgo.Client
	log     *slog.Logger

	mu         sync.Mutex
	deliveries []*schemas.Delivery
	letters    []*schemas.DeadLetter
}

// newWorld uses an in-process broker, or the one at DWELL_TEST_BROKERS, whose topics it makes anew.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, cfg: DefaultConfig(), log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	w.cfg.Push.InternalSecret = secret
	w.cfg.Push.ReplyTimeout = 500 * time.Millisecond
	w.cfg.CommitInterval = 50 * time.Millisecond
	w.cfg.SessionTimeout = time.Second
	w.cfg.Group = fmt.Sprintf("dwell.engager-%d", time.Now().UnixNano())
	w.cfg.Kafka.Partitions, w.cfg.Kafka.Replication = 4, 1
	if brokers := os.Getenv("DWELL_TEST_BROKERS"); brokers != "" {
		w.cfg.Kafka.Brokers = strings.Split(brokers, ",")
		w.cfg.SessionTimeout = 6 * time.Second // a real broker's least
	} else {
		w.cluster = kafkatest.Start(t)
		w.cfg.Kafka.Brokers = w.cluster.ListenAddrs()
	}
	w.freshTopics()
	cl, err := w.cfg.Kafka.NewClient("test", append(kafka.ProducerOptions(),
		kgo.ConsumeTopics(topics.Deliveries.Name, topics.DeadLetters.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	w.cl = cl
	ctx, cancel := context.WithCancel(context.Background())
	var reader sync.WaitGroup
	reader.Go(func() { w.read(ctx) })
	t.Cleanup(func() { cancel(); reader.Wait(); cl.Close() })
	return w
}

func (w *world) freshTopics() {
	w.t.Helper()
	specs := []*topics.Spec{topics.Actions.Spec, topics.Deliveries.Spec, topics.Presences.Spec, topics.DeadLetters.Spec}
	cl, err := w.cfg.Kafka.NewClient("test-topics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, s := range specs {
		if _, err := adm.DeleteTopics(w.t.Context(), s.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	eventually(w.t, "the topics to be gone", func() bool {
		found, err := adm.ListTopics(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range specs {
			if found.Has(s.Name) {
				return false
			}
		}
		return true
	})
	if err := kafka.Ensure(w.t.Context(), w.cfg.Kafka, specs...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(ctx context.Context) {
	for {
		fs := w.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		fs.EachRecord(func(r *kgo.Record) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if r.Topic == topics.Deliveries.Name {
				d, err := topics.Deliveries.Codec.Decode(r.Value)
				if err != nil || string(r.Key) != schemas.Key(d.Tenant, d.User) {
					w.t.Errorf("delivery with key %s: %v %v", r.Key, d, err)
				}
				w.deliveries = append(w.deliveries, d)
				return
			}
			l, err := topics.DeadLetters.Codec.Decode(r.Value)
			if err != nil {
				w.t.Errorf("dead letter: %v", err)
			}
			w.letters = append(w.letters, l)
		})
	}
}

// of are the deliveries of one action so far.
func (w *world) of(id string) []*schemas.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*schemas.Delivery
	for _, d := range w.deliveries {
		if d.ActionId == id {
			out = append(out, d)
		}
	}
	return out
}

// await waits for the first delivery of an action and demands its status.
func (w *world) await(id, status string) *schemas.Delivery {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%s to be %s", id, status), func() bool { return len(w.of(id)) > 0 })
	d := w.of(id)[0]
	if d.Status != status {
		w.t.Fatalf("%s is %s (%s), want %s", id, d.Status, d.Error, status)
	}
	return d
}

func (w *world) produce(topic, key string, value []byte) {
	w.t.Helper()
	if err := w.cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: value}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// act decides an action; edit may change it.
func (w *world) act(id, tenant, user string, edit ...func(*schemas.Action)) {
	w.t.Helper()
	a := &schemas.Action{
		Id: id, Tenant: tenant, User: user, Campaign: "hot-streak", Version: "v1", Variant: "boost50", Channel: "popup", Content: "popup/boost50",
		Slot: "page_popup", MatchId: "m-" + id, DecidedMs: time.Now().UnixMilli(), Payload: []byte(`{"title":"Hi"}`),
	}
	for _, f := range edit {
		f(a)
	}
	b, err := topics.Actions.Codec.Append(nil, a)
	if err != nil {
		w.t.Fatal(err)
	}
	w.produce(topics.Actions.Name, schemas.Key(tenant, user), b)
}

// present says that a node holds the user; an empty node is a tombstone.
func (w *world) present(tenant, user, node string) {
	w.t.Helper()
	if node == "" {
		w.produce(topics.Presences.Name, schemas.Key(tenant, user), nil)
		return
	}
	b, err := topics.Presences.Codec.Append(nil, &schemas.Presence{Tenant: tenant, User: user, Node: node, Session: "s"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.produce(topics.Presences.Name, schemas.Key(tenant, user), b)
}

// engager is one running Dispatcher.
type engager struct {
	*Dispatcher
	stop func()
}

// engage starts an Engager and waits until it is ready. It is stopped with the test at the latest.
func (w *world) engage(deps Deps, edit ...func(*Config)) *engager {
	w.t.Helper()
	cfg := w.cfg
	for _, f := range edit {
		f(&cfg)
	}
	deps.Log = w.log
	d, err := New(cfg, deps)
	if err != nil {
		w.t.Fatal(err)
	}
	if d.Ready() == nil {
		w.t.Fatal("ready before Run")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	e := &engager{Dispatcher: d}
	e.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("Run = %v", err)
			}
		case <-time.After(patience):
			w.t.Error("Run did not return")
		}
	})
	w.t.Cleanup(e.stop)
	eventually(w.t, "the Engager to be ready", func() bool { return d.Ready() == nil })
	return e
}

// node is a gateway node: it takes pushes as the test says.
type node struct {
	*httptest.Server
	mu   sync.Mutex
	got  []push
	then func(push) (status int, body string)
}

// push is a request as a gateway reads it, written down independently of the sender's types.
type push struct {
	Tenant, User, Version, Variant, Channel string
	MatchID                                 string `json:"match_id"`
	Action                                  struct {
		ID, Campaign, Content, Slot string
		ExpiresMS                   int64 `json:"expires_ms"`
		Payload                     json.RawMessage
	}
}

func seen(push) (int, string) { return 200, `{"status":"seen"}` }

func (w *world) node(then func(push) (int, string)) *node {
	n := &node{then: then}
	n.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/internal/v1/push" || r.URL.Query().Get("timeout") != "500ms" {
			w.t.Errorf("a node was asked %s %s", r.Method, r.URL)
		}
		if r.Header.Get("Authorization") != "Bearer "+secret {
			out.WriteHeader(http.StatusUnauthorized)
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller went away
		}
		var p push
		if err := json.Unmarshal(b, &p); err != nil {
			w.t.Errorf("push %s: %v", b, err)
		}
		status, body := n.answer(p)
		out.WriteHeader(status)
		_, _ = io.WriteString(out, body)
	}))
	w.t.Cleanup(n.Close)
	return n
}

func (n *node) answer(p push) (int, string) {
	n.mu.Lock()
	n.got = append(n.got, p)
	n.mu.Unlock()
	return n.then(p)
}

// ids are the actions that were pushed here, in order.
func (n *node) ids() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for _, p := range n.got {
		out = append(out, p.Action.ID)
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// clock is a wall clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testWriter shows the log of a failed test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}
