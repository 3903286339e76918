package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Keys of the tests' tenants.
const (
	pub      = "pub-acme"  // acme: ingest, push
	secretly = "sec-acme"  // acme: command
	rival    = "pub-rival" // rival: ingest, push
	server   = "node-secret-of-the-tests"
	signer   = "push-secret-of-the-tests"
	shop     = "https://shop.example"
	browser  = "browser-id-of-32-bytes-0000000001"
	visitor  = "~" + browser // as a user
)

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// rig is a gateway on a Kafka of its own.
type rig struct {
	*Gateway
	t       *testing.T
	kc      kafka.Config
	cluster *kfake.Cluster
	clock   *clock
	reg     *prometheus.Registry
	stop    context.CancelFunc
	ended   chan error
}

// fast are settings that keep waits short.
func fast() Config {
	cfg := DefaultConfig()
	cfg.Listen, cfg.InternalSecret, cfg.PushSecret = "127.0.0.1:0", server, signer
	cfg.AckTimeout, cfg.Grace = 2*time.Second, 5*time.Second
	return cfg
}

// startKafka has no topic yet: the gateway makes those that it needs.
func startKafka(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	kc := kafka.DefaultConfig()
	kc.Brokers, kc.Partitions = c.ListenAddrs(), 2
	return c, kc
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	c, kc := startKafka(t)
	r := onKafka(t, cfg, c, kc)
	r.keys()
	return r
}

// onKafka starts a gateway and returns when it is ready.
func onKafka(t *testing.T, cfg Config, c *kfake.Cluster, kc kafka.Config) *rig {
	t.Helper()
	r := &rig{t: t, kc: kc, cluster: c, clock: &clock{at: time.UnixMilli(1_800_000_000_500)}, reg: prometheus.NewRegistry(), ended: make(chan error, 1)}
	g, err := New(cfg, kc, Deps{Registerer: r.reg, Now: r.clock.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.Gateway = g
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.ended <- g.Run(ctx); close(r.ended) }()
	t.Cleanup(func() {
		stop()
		if err := <-r.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	r.until("the gateway is ready", g.Ready)
	return r
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(end) {
			r.t.Fatalf("it never came that %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func (r *rig) keys() {
	r.t.Helper()
	r.putKey(pub, &schemas.WriteKey{Id: "acme-web", Tenant: "acme", Scopes: []string{"ingest", "push"}, Origins: []string{shop}})
	r.putKey(secretly, &schemas.WriteKey{Id: "acme-server", Tenant: "acme", Scopes: []string{"command"}})
	r.putKey(rival, &schemas.WriteKey{Id: "rival-web", Tenant: "rival", Scopes: []string{"ingest", "push"}, Origins: []string{"https://rival.example"}})
}

func hashOf(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

// putKey writes a key, or a tombstone, and waits until it is in force.
func (r *rig) putKey(secret string, k *schemas.WriteKey) {
	r.t.Helper()
	em, err := kafka.NewEmitter(r.kc, "test", topics.WriteKeys)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := em.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	if k == nil {
		err = em.Delete(hashOf(secret), func(error) {})
	} else {
		k.Hash = hashOf(secret)
		err = em.EmitSync(r.t.Context(), k.Hash, k)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.until("the key is in force", func() bool {
		now, ok := r.Gateway.keys.Find(secret)
		return ok == (k != nil) && (k == nil || now.ID == k.Id)
	})
}

// read returns every record of a topic, in the order of partitions and offsets, once there are at
// least n.
func read[T any](r *rig, topic topics.Topic[T], n int) (recs []*kgo.Record, values []T) {
	r.t.Helper()
	cl, err := r.kc.NewClient("test", kgo.ConsumeTopics(topic.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	ctx, stop := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer stop()
	for len(recs) < n {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			r.t.Fatalf("%s has %d records, not %d", topic.Name, len(recs), n)
		}
		recs = append(recs, fs.Records()...)
	}
	for _, rec := range recs {
		var v T
		if rec.Value != nil {
			if v, err = topic.Codec.Decode(rec.Value); err != nil {
				r.t.Fatal(err)
			}
		}
		values = append(values, v)
	}
	return recs, values
}

// reply is an answer of the API.
type reply struct {
	code   int
	header http.Header
	text   string

	Success    bool   `json:"success"`
	Durability string `json:"durability"`
	T          int64  `json:"t"`
	Token      string `json:"token"`
	ExpiresMS  int64  `json:"expires_ms"`
	Status     string `json:"status"`
	Error      *struct{ What, Where, Do string }
	Items      []struct {
		Index   int
		Success bool
		Status  int
		Error   *struct{ What, Where, Do string }
	}
}

// do sends a request; each of more changes it.
func (r *rig) do(method, path, body string, more ...func(*http.Request)) reply {
	r.t.Helper()
	a, err := r.try(method, path, body, more...)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) try(method, path, body string, more ...func(*http.Request)) (a reply, err error) {
	base := "http://" + r.Addr()
	if strings.HasPrefix(path, "/internal/") {
		base = r.NodeURL()
	}
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	for _, f := range more {
		f(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	a = reply{code: res.StatusCode, header: res.Header, text: string(b)}
	if len(b) > 0 && b[0] == '{' {
		err = json.Unmarshal(b, &a)
	}
	return a, err
}

func (r *rig) post(path, body string, more ...func(*http.Request)) reply {
	r.t.Helper()
	return r.do(http.MethodPost, path, body, more...)
}

func basic(key string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(key, "") }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func packed(b []byte) string {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write(b)
	if err := errors.Join(err, w.Close()); err != nil { // into memory: it cannot fail
		panic(err)
	}
	return z.String()
}

// metric sums a counter or gauge over its labels.
func (r *rig) metric(name string) (sum float64) {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// size is how many records a topic has ever got.
func (r *rig) size(topic string) (n int64) {
	r.t.Helper()
	cl, err := r.kc.NewClient("test")
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(r.t.Context(), topic)
	if err != nil || ends.Error() != nil {
		r.t.Fatal(err, ends.Error())
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}
