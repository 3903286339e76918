package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/dwellhq/dwell/gateway/ingest"
	"github.com/dwellhq/dwell/gateway/keys"
	"github.com/dwellhq/dwell/gateway/push"
)

// Config says where the gateway listens and what it bounds. The tags are for cmd.
type Config struct {
	Listen string `help:"Address of the public API, host:port." env:"DWELL_LISTEN" default:"127.0.0.1:8080"`
	// InternalListen is where engagers push; it must not be reachable from outside.
	InternalListen string `help:"Address of the node-to-node API, host:port." env:"DWELL_INTERNAL_LISTEN" default:"127.0.0.1:0"`
	// NodeURL is what other nodes call this one; empty: made from the internal listener's address.
	NodeURL string `name:"node-url" help:"Base URL under which engagers reach the node-to-node API; empty: its address." env:"DWELL_NODE_URL"`
	// InternalSecret is shared by engagers and gateways.
	InternalSecret string `help:"Secret of the node-to-node API, at least 16 bytes. Give it by the environment: everybody may read a command line." env:"DWELL_INTERNAL_SECRET"`
	// PushSecret signs the tokens of users; without it or its file there are no tokens.
	PushSecret     string `help:"Secret that signs push tokens, at least 16 bytes; by the environment, too." env:"DWELL_PUSH_SECRET"`
	PushSecretFile string `help:"File that holds the secret that signs push tokens." env:"DWELL_PUSH_SECRET_FILE" type:"path"`
	// TrustProxy believes the last X-Forwarded-For entry.
	TrustProxy bool `help:"Take a client's address from the last X-Forwarded-For entry: only behind exactly one proxy." env:"DWELL_TRUST_PROXY"`

	MaxEventBytes  int           `help:"Most bytes of one event or frame." env:"DWELL_MAX_EVENT_BYTES" default:"32768"`
	MaxBatchBytes  int           `help:"Most bytes of a request, unpacked." env:"DWELL_MAX_BATCH_BYTES" default:"512000"`
	MaxBatchEvents int           `help:"Most events or frames of a request." env:"DWELL_MAX_BATCH_EVENTS" default:"5000"`
	MaxRequests    int           `help:"Most requests that are answered at the same time." env:"DWELL_MAX_REQUESTS" default:"4096"`
	BodyBytes      int64         `help:"Most bytes of all request bodies in memory." env:"DWELL_BODY_BYTES" default:"134217728"`
	BufferBytes    int           `help:"Most bytes that wait for Kafka." env:"DWELL_BUFFER_BYTES" default:"67108864"`
	Rate           float64       `help:"Events a second that one write key may send; 0: no limit." env:"DWELL_RATE" default:"0"`
	Burst          float64       `help:"Events that one write key may send at once; 0: those of two seconds." env:"DWELL_BURST" default:"0"`
	HeaderTimeout  time.Duration `help:"Most time for a request's headers." default:"5s"`
	ReadTimeout    time.Duration `help:"Most time for a whole request." default:"15s"`
	IdleTimeout    time.Duration `help:"How long an unused HTTP connection is kept." default:"75s"`
	AckTimeout     time.Duration `help:"Most time that a request waits for Kafka's acknowledgement." env:"DWELL_ACK_TIMEOUT" default:"5s"`
	RetryAfter     time.Duration `help:"When a client that was sent away may come again." env:"DWELL_RETRY_AFTER" default:"2s"`
	MaxTokenTTL    time.Duration `name:"max-token-ttl" help:"Longest life of a push token; also that of one that asks for none." env:"DWELL_MAX_TOKEN_TTL" default:"1h"`
	Grace          time.Duration `help:"Most time for an orderly end." env:"DWELL_GRACE" default:"20s"`

	Push push.Config `embed:"" prefix:"push-"`
}

// DefaultConfig is what the tags say. InternalSecret has no default.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080", InternalListen: "127.0.0.1:0",
		MaxEventBytes: 32 << 10, MaxBatchBytes: 500 << 10, MaxBatchEvents: 5000, MaxRequests: 4096,
		BodyBytes: 128 << 20, BufferBytes: 64 << 20,
		HeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: 75 * time.Second,
		AckTimeout: 5 * time.Second, RetryAfter: 2 * time.Second, MaxTokenTTL: time.Hour, Grace: 20 * time.Second,
		Push: push.DefaultConfig(),
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	add := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	for _, l := range []struct{ name, value string }{{"listen", c.Listen}, {"internal-listen", c.InternalListen}} {
		if _, _, err := net.SplitHostPort(l.value); err != nil {
			add("%s: %q is no host:port", l.name, l.value)
		}
	}
	if c.NodeURL != "" {
		if u, err := url.Parse(c.NodeURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			add("node-url: %q is no base URL, such as http://10.0.0.7:8081", c.NodeURL)
		}
	} else if anyHost(c.InternalListen) {
		add("node-url: must be set where internal-listen (%q) names no host that others can call", c.InternalListen)
	}
	if len(c.InternalSecret) < push.MinSecretBytes {
		add("internal-secret: %d bytes, at least %d are needed; set DWELL_INTERNAL_SECRET, the same for every gateway and engager", len(c.InternalSecret), push.MinSecretBytes)
	}
	if c.PushSecret != "" && c.PushSecretFile != "" {
		add("push-secret, push-secret-file: set only one of them")
	}
	if c.PushSecret != "" && len(c.PushSecret) < push.MinSecretBytes {
		add("push-secret: %d bytes, at least %d are needed", len(c.PushSecret), push.MinSecretBytes)
	}
	faults = append(faults, c.bounds()...)
	return errors.Join(append(faults, c.Push.Validate())...)
}

func (c Config) bounds() (faults []error) {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"max-event-bytes", int64(c.MaxEventBytes)},
		{"max-batch-bytes", int64(c.MaxBatchBytes)},
		{"max-batch-events", int64(c.MaxBatchEvents)},
		{"max-requests", int64(c.MaxRequests)},
		{"header-timeout", int64(c.HeaderTimeout)},
		{"read-timeout", int64(c.ReadTimeout)},
		{"idle-timeout", int64(c.IdleTimeout)},
		{"ack-timeout", int64(c.AckTimeout)},
		{"retry-after", int64(c.RetryAfter)},
		{"max-token-ttl", int64(c.MaxTokenTTL)},
		{"grace", int64(c.Grace)},
	} {
		if f.value < 1 {
			faults = append(faults, fmt.Errorf("%s: must be above zero", f.name))
		}
	}
	if c.MaxEventBytes > c.MaxBatchBytes {
		faults = append(faults, fmt.Errorf("max-event-bytes: %d is more than max-batch-bytes, %d", c.MaxEventBytes, c.MaxBatchBytes))
	}
	if c.BodyBytes < int64(c.MaxBatchBytes) || c.BufferBytes < c.MaxBatchBytes {
		faults = append(faults, fmt.Errorf("body-bytes, buffer-bytes: must hold at least max-batch-bytes, %d", c.MaxBatchBytes))
	}
	if c.Rate < 0 || c.Burst < 0 || c.Rate > 0 && c.Burst > 0 && c.Burst < 1 {
		faults = append(faults, errors.New("rate, burst: must not be negative, and a burst is at least 1"))
	}
	return faults
}

func anyHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	a, aerr := netip.ParseAddr(host)
	return err == nil && (host == "" || aerr == nil && a.IsUnspecified())
}

func (c Config) limits() ingest.Limits {
	return ingest.Limits{EventBytes: c.MaxEventBytes, BatchBytes: c.MaxBatchBytes, Items: c.MaxBatchEvents}
}

func (c Config) rate() keys.Rate {
	burst := c.Burst
	if burst == 0 {
		burst = max(1, 2*c.Rate)
	}
	return keys.Rate{PerSecond: c.Rate, Burst: burst}
}

// pushSecret is the secret of the tokens, nil for none.
func (c Config) pushSecret() ([]byte, error) {
	if c.PushSecretFile == "" {
		return []byte(c.PushSecret), nil
	}
	b, err := os.ReadFile(c.PushSecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the push secret: %w", err)
	}
	if b = bytes.TrimSpace(b); len(b) < push.MinSecretBytes {
		return nil, fmt.Errorf("push secret in %s: %d bytes, at least %d are needed", c.PushSecretFile, len(b), push.MinSecretBytes)
	}
	return b, nil
}
