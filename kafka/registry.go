package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// ErrRegistry marks that the schema registry did not answer: the record may be good, and waits.
var ErrRegistry = errors.New("the schema registry does not answer")

const (
	// registryTime bounds one question to the registry.
	registryTime = 5 * time.Second
	// schemaBytes bounds an answer.
	schemaBytes = 4 << 20
	// schemasKept bounds how many ids are remembered.
	schemasKept = 1000
	// unknownFor is how long an id stays unknown before the registry is asked again.
	unknownFor = 10 * time.Second
)

// checkRegistry names what is wrong with the settings; a secret is never in it.
func (c Config) checkRegistry() (faults []error) {
	for _, text := range c.Registry {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			faults = append(faults, errors.New("registry: an address is no URL such as https://registry:8081"))
		case u.User != nil:
			faults = append(faults, fmt.Errorf("registry: the URL of %s holds a user or password; set --registry-user and --registry-password-file", u.Host))
		}
	}
	if (c.RegistryUser == "") != (c.RegistryPasswordFile == "") {
		faults = append(faults, errors.New("registry: a user needs a password file, and the other way round"))
	}
	return faults
}

// Unframer takes values out of the wire format of Confluent's schema registry. It asks the registry for
// each schema once and keeps a bounded number of answers. It may be used by many goroutines.
type Unframer struct {
	cl  *sr.Client // nil: no registry is configured
	now func() time.Time

	mu    sync.Mutex
	known map[uint32]schema
}

// schema is what the registry said of an id.
type schema struct {
	kind  sr.SchemaType
	text  string    // of Protobuf
	fault error     // it does not exist
	until time.Time // for how long that holds
}

// NewUnframer prepares; it reaches no registry.
func NewUnframer(cfg Config) (*Unframer, error) {
	u := &Unframer{now: time.Now, known: map[uint32]schema{}}
	if len(cfg.Registry) == 0 {
		return u, nil
	}
	if err := errors.Join(cfg.checkRegistry()...); err != nil {
		return nil, err
	}
	conf, err := tlsWith(cfg.RegistryCAFile)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
	}
	opts := []sr.ClientOpt{sr.URLs(cfg.Registry...), sr.UserAgent("dwell"), sr.HTTPClient(&http.Client{
		Timeout: registryTime, Transport: shortAnswers{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a password goes nowhere else
	})}
	if cfg.RegistryUser != "" {
		b, err := os.ReadFile(cfg.RegistryPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the registry's password: %w", err)
		}
		opts = append(opts, sr.BasicAuth(cfg.RegistryUser, strings.TrimSpace(string(b))))
	}
	if u.cl, err = sr.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	return u, nil
}

// shortAnswers cuts off what no schema is.
type shortAnswers struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (s shortAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, schemaBytes), resp.Body}
	}
	return resp, err
}

// CloseIdleConnections is called by http.Client.
func (s shortAnswers) CloseIdleConnections() { s.next.CloseIdleConnections() }

// framed says whether a value of the topic is in the wire format.
func framed(t *topics.Spec, value []byte) bool { return t.Framed && len(value) >= 5 && value[0] == 0 }

// Value is the payload of a value in the wire format, sharing memory with it, and any other value as it
// is. An error wraps ErrRegistry when it must be asked for again, and else schemas.ErrUndecodable.
func (u *Unframer) Value(ctx context.Context, t *topics.Spec, value []byte) ([]byte, error) {
	if !framed(t, value) {
		return value, nil
	}
	id, rest, _ := schemas.Unframe(value)
	if u.cl == nil {
		return nil, fmt.Errorf("%w: the value is in the wire format of a schema registry (schema %d), and none is configured: set --registry or DWELL_REGISTRY", schemas.ErrUndecodable, id)
	}
	s, err := u.schema(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case s.fault != nil:
		return nil, s.fault
	case s.kind == sr.TypeJSON:
		return bytes.TrimLeft(rest, " \t\r\n"), nil
	case s.kind == sr.TypeProtobuf:
		return message(id, s.text, t, rest)
	}
	return nil, fmt.Errorf("%w: schema %d is of type %v, which dwell does not read: produce with a JSON Schema or Protobuf serializer, or as plain JSON", schemas.ErrUndecodable, id, s.kind)
}

// message is a Protobuf payload, when it is of the message that the topic takes.
func message(id uint32, text string, t *topics.Spec, rest []byte) ([]byte, error) {
	index, payload, err := schemas.MessageIndex(rest)
	if err != nil || t.Message == "" {
		return payload, err
	}
	name, err := schemas.MessageAt(text, index)
	if err != nil {
		return nil, fmt.Errorf("%w: schema %d: %w", schemas.ErrUndecodable, id, err)
	}
	if name != t.Message {
		return nil, fmt.Errorf("%w: schema %d says that the value is a %s, and %s holds %s, as dwell's own .proto files have it", schemas.ErrUndecodable, id, name, t.Name, t.Message)
	}
	return payload, nil
}

// schema is what the registry says of an id, as far as it is remembered.
func (u *Unframer) schema(ctx context.Context, id uint32) (schema, error) {
	u.mu.Lock()
	s, ok := u.known[id]
	u.mu.Unlock()
	if ok && (s.fault == nil || u.now().Before(s.until)) {
		return s, nil
	}
	s, err := u.ask(ctx, id)
	if err != nil {
		return s, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for old := range u.known {
		if len(u.known) < schemasKept {
			break
		}
		delete(u.known, old) // any: it is asked for again
	}
	u.known[id] = s
	return s, nil
}

func (u *Unframer) ask(ctx context.Context, id uint32) (schema, error) {
	unknown := schema{fault: fmt.Errorf("%w: the schema registry knows no schema %d", schemas.ErrUndecodable, id), until: u.now().Add(unknownFor)}
	if id > math.MaxInt32 {
		return unknown, nil
	}
	ctx, cancel := context.WithTimeout(ctx, registryTime)
	defer cancel()
	found, err := u.cl.SchemaByID(ctx, int(id))
	var said *sr.ResponseError
	switch {
	case errors.As(err, &said) && said.StatusCode == http.StatusNotFound && said.ErrorCode == sr.ErrSchemaNotFound.Code:
		return unknown, nil
	case err != nil:
		return schema{}, fmt.Errorf("%w: ask for schema %d: %w", ErrRegistry, id, short(err))
	}
	s := schema{kind: found.Type}
	if s.kind == sr.TypeProtobuf {
		s.text = found.Schema
	}
	return s, nil
}

// short leaves out most of the page that something that is no registry may have answered.
func short(err error) error {
	var said *sr.ResponseError
	if !errors.As(err, &said) {
		return err
	}
	text := said.Error()
	return fmt.Errorf("status %d: %s", said.StatusCode, strings.ToValidUTF8(text[:min(len(text), 200)], "\uFFFD"))
}

// unframedKey is the key of what a record's context says of its wire format.
type unframedKey struct{}

// unframed is what Record remembers.
type unframed struct {
	original []byte
	fault    error
}

// Record replaces a fetched record's value in the wire format by its payload. Original and Fault tell
// what was there and what is wrong with it; the only error returned wraps ErrRegistry, and leaves the
// record as it was.
func (u *Unframer) Record(ctx context.Context, t *topics.Spec, r *kgo.Record) error {
	if !framed(t, r.Value) {
		return nil
	}
	payload, err := u.Value(ctx, t, r.Value)
	if errors.Is(err, ErrRegistry) {
		return err
	}
	r.Context = context.WithValue(context.Background(), unframedKey{}, unframed{r.Value, err})
	if err == nil {
		r.Value = payload
	}
	return nil
}

// Original is the value that the record has in its topic.
func Original(r *kgo.Record) []byte {
	if u, ok := about(r); ok {
		return u.original
	}
	return r.Value
}

// Fault says why a record's wire format could not be taken off; nil: it could, or it has none.
func Fault(r *kgo.Record) error {
	u, _ := about(r)
	return u.fault
}

func about(r *kgo.Record) (unframed, bool) {
	if r.Context == nil {
		return unframed{}, false
	}
	u, ok := r.Context.Value(unframedKey{}).(unframed)
	return u, ok
}
