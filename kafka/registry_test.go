package kafka

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// registry is a schema registry: its schemas by id.
type registry struct {
	*httptest.Server
	asked  atomic.Int64
	status atomic.Int64 // other than 0: that is the answer

	mu      sync.Mutex
	schemas map[string]map[string]string
	auth    string // of the last question
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	event, err := os.ReadFile("../schemas/event.proto")
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{schemas: map[string]map[string]string{
		"1": {"schema": `{"type":"object"}`, "schemaType": "JSON"},
		"2": {"schema": string(event), "schemaType": "PROTOBUF"},
		"3": {"schema": `{"type":"record"}`}, // Avro is what has no type
		"4": {"schema": `syntax = "proto3"; message Order {} message Event {}`, "schemaType": "PROTOBUF"},
	}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.auth = q.Header.Get("Authorization")
		if s := int(r.status.Load()); s != 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(s)
			fmt.Fprint(w, strings.Repeat("<html>", 1000))
			return
		}
		s, ok := r.schemas[strings.TrimPrefix(q.URL.Path, "/schemas/ids/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(s)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *registry) config() Config {
	c := DefaultConfig()
	c.Registry = []string{r.URL}
	return c
}

func unframer(t *testing.T, c Config) *Unframer {
	t.Helper()
	u, err := NewUnframer(c)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// frame puts a payload into the wire format.
func frame(id uint32, payload string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), payload...)
}

func encoded(t *testing.T, e *schemas.Event) string {
	t.Helper()
	b, err := topics.Events.Codec.Append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEventsComeOutOfTheWireFormat(t *testing.T) {
	want := &schemas.Event{Id: "1", Tenant: "t", UserId: "u", Type: "track", Name: "n"}
	pb := encoded(t, want)
	u := unframer(t, newRegistry(t).config())
	call := `{"tenant":"t","type":"track","event":"n","messageId":"1","userId":"u"}`
	for name, value := range map[string][]byte{
		"JSON":                     frame(1, call),
		"JSON behind a space":      frame(1, " \n"+call),
		"Protobuf":                 frame(2, "\x00"+pb),
		"Protobuf, full index":     frame(2, "\x02\x00"+pb),
		"Protobuf, second message": frame(4, "\x02\x02"+pb),
		"plain JSON":               []byte(call),
		"plain Protobuf":           []byte(pb),
	} {
		payload, err := u.Value(t.Context(), topics.Events.Spec, value)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := topics.Events.Codec.Decode(payload); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	u := unframer(t, newRegistry(t).config())
	for name, c := range map[string]struct {
		value []byte
		want  string
	}{
		"unknown id":           {frame(77, "{}"), "knows no schema 77"},
		"an id beyond any":     {frame(1<<31, "{}"), "knows no schema 2147483648"},
		"Avro":                 {frame(3, "\x02a"), "schema 3 is of type AVRO"},
		"another message":      {frame(4, "\x00"), "the value is a Order"},
		"no such message":      {frame(4, "\x02\x04"), "no message at index"},
		"no index":             {frame(2, ""), "no message index"},
		"nothing after the id": {frame(2, "\x80"), "no message index"},
	} {
		if _, err := u.Value(t.Context(), topics.Events.Spec, c.value); !errors.Is(err, schemas.ErrUndecodable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none := unframer(t, DefaultConfig())
	if _, err := none.Value(t.Context(), topics.Events.Spec, frame(7, "{}")); !errors.Is(err, schemas.ErrUndecodable) || !strings.Contains(err.Error(), "DWELL_REGISTRY") {
		t.Errorf("without a registry: %v", err)
	}
	if got, err := u.Value(t.Context(), &topics.Spec{Name: "binary"}, frame(77, "x")); err != nil || string(got) != string(frame(77, "x")) {
		t.Errorf("a topic that is never framed: %q, %v", got, err)
	}
}

func TestEachSchemaIsAskedForOnce(t *testing.T) {
	r := newRegistry(t)
	u := unframer(t, r.config())
	now := time.Unix(1000, 0)
	u.now = func() time.Time { return now }
	ask := func(id uint32, want int64) {
		t.Helper()
		_, _ = u.Value(t.Context(), topics.Events.Spec, frame(id, "{}"))
		if n := r.asked.Load(); n != want {
			t.Errorf("schema %d: asked %d times, want %d", id, n, want)
		}
	}
	ask(1, 1)
	ask(1, 1)
	ask(77, 2)
	ask(77, 2)
	now = now.Add(unknownFor)
	ask(1, 2)
	ask(77, 3) // somebody may have registered it meanwhile
	for id := uint32(100); id < 100+2*schemasKept; id++ {
		_, _ = u.Value(t.Context(), topics.Events.Spec, frame(id, "{}"))
	}
	if n := len(u.known); n > schemasKept {
		t.Errorf("%d schemas are remembered", n)
	}
}

func TestRegistryThatDoesNotAnswerIsNoFaultOfTheRecord(t *testing.T) {
	r := newRegistry(t)
	u := unframer(t, r.config())
	for _, status := range []int{500, 503, 401, 403, 404, 307} { // a 404 that is no registry's
		r.status.Store(int64(status))
		_, err := u.Value(t.Context(), topics.Events.Spec, frame(1, "{}"))
		if !errors.Is(err, ErrRegistry) || errors.Is(err, schemas.ErrUndecodable) || len(err.Error()) > 500 {
			t.Errorf("status %d: %v", status, err)
		}
	}
	r.status.Store(0)
	if _, err := u.Value(t.Context(), topics.Events.Spec, frame(1, "{}")); err != nil {
		t.Errorf("after it is back: %v", err)
	}
	r.Close()
	if _, err := u.Value(t.Context(), topics.Events.Spec, frame(1, "{}")); err != nil {
		t.Errorf("what is known needs no registry: %v", err)
	}
	if _, err := u.Value(t.Context(), topics.Events.Spec, frame(2, "{}")); !errors.Is(err, ErrRegistry) {
		t.Errorf("gone: %v", err)
	}
}

func TestRegistryCredentialsAreSentAndNeverTold(t *testing.T) {
	r := newRegistry(t)
	c := r.config()
	c.RegistryUser, c.RegistryPasswordFile = "ann", filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(c.RegistryPasswordFile, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u := unframer(t, c)
	if _, err := u.Value(t.Context(), topics.Events.Spec, frame(1, "{}")); err != nil {
		t.Fatal(err)
	}
	if r.auth != "Basic YW5uOnMzY3JldA==" {
		t.Errorf("sent %q", r.auth)
	}
	r.status.Store(401)
	if _, err := u.Value(t.Context(), topics.Events.Spec, frame(2, "{}")); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("told: %v", err)
	}
	for _, bad := range []func(*Config){
		func(c *Config) { c.Registry = []string{"https://ann:s3cret@registry:8081"} },
		func(c *Config) { c.Registry = []string{"registry:8081 s3cret"} },
		func(c *Config) { c.Registry = []string{"ftp://registry"} },
		func(c *Config) { c.RegistryUser = "" },
		func(c *Config) { c.RegistryPasswordFile = "" },
	} {
		c := c
		bad(&c)
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: %v", c.Registry, err)
		}
	}
}

func TestReadersGetThePayload(t *testing.T) {
	w := newWorld(t)
	r := newRegistry(t)
	w.make("in", 1, 1, nil)
	spec := &topics.Spec{Name: "in", Framed: true}
	for _, v := range [][]byte{frame(1, `{"a":1}`), frame(77, "?"), []byte(`{"b":2}`)} {
		w.send(&kgo.Record{Topic: "in", Value: v})
	}
	read := func(c Config) (got []string) {
		t.Helper()
		c.Brokers = w.cfg.Brokers
		if err := ReadAll(w.ctx, c, spec, func(e Entry) error { got = append(got, string(e.Value)); return nil }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := read(r.config()); strings.Join(got, "|") != `{"a":1}|`+string(frame(77, "?"))+`|{"b":2}` {
		t.Errorf("with a registry: %q", got)
	}
	if got := read(DefaultConfig()); got[0] != string(frame(1, `{"a":1}`)) {
		t.Errorf("without one: %q", got)
	}
}
