package channels

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// PushConfig sets up the channel to the browser. The tags are for cmd.
type PushConfig struct {
	InternalSecret     string `help:"Secret that gateways and engagers share." env:"DWELL_INTERNAL_SECRET"`
	InternalSecretFile string `help:"File that holds that secret." env:"DWELL_INTERNAL_SECRET_FILE" type:"path"`
	// Nodes are the gateways that may be called, as ParseNodes reads them; none means loopback only.
	Nodes []string `help:"Gateway nodes that may be called: networks, hosts, .domains; none: loopback only." env:"DWELL_NODES"`
	// ReplyTimeout is how long a node waits for the browser's reply before it answers without one;
	// at most 30s. A connection that breaks within it counts as a user who was not there, and the
	// action goes out again: on a mobile link, what was written was not always read.
	ReplyTimeout time.Duration `help:"Wait for the browser's reply." default:"2s"`
	// DialTimeout bounds the connection to a node; a dead one is noticed after it.
	DialTimeout time.Duration `help:"Wait for a connection to a node." default:"1s"`
	// Slack is what a node may take on top of ReplyTimeout before it counts as down.
	Slack time.Duration `help:"Wait for a node's answer beyond that." default:"1s"`
}

// DefaultPush has no secret, which must be set, and calls loopback nodes only.
func DefaultPush() PushConfig {
	return PushConfig{ReplyTimeout: 2 * time.Second, DialTimeout: time.Second, Slack: time.Second}
}

// Validate reports every fault.
func (c PushConfig) Validate() error {
	var faults []error
	if (c.InternalSecret == "") == (c.InternalSecretFile == "") {
		faults = append(faults, errors.New("internal secret: set one of DWELL_INTERNAL_SECRET and DWELL_INTERNAL_SECRET_FILE, the same as the gateways have"))
	}
	if c.ReplyTimeout < time.Millisecond || c.ReplyTimeout > 30*time.Second {
		faults = append(faults, fmt.Errorf("reply timeout: %v is not within 1ms to 30s", c.ReplyTimeout))
	}
	if c.DialTimeout <= 0 {
		faults = append(faults, fmt.Errorf("dial timeout: %v is not positive", c.DialTimeout))
	}
	if c.Slack <= 0 {
		faults = append(faults, fmt.Errorf("slack: %v is not positive", c.Slack))
	}
	_, err := ParseNodes(c.Nodes)
	return errors.Join(append(faults, err)...)
}

func (c PushConfig) secret() (string, error) {
	if c.InternalSecretFile == "" {
		return c.InternalSecret, nil
	}
	b, err := os.ReadFile(c.InternalSecretFile)
	if err != nil {
		return "", fmt.Errorf("read the internal secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("read the internal secret: %s is empty", c.InternalSecretFile)
	}
	return s, nil
}
