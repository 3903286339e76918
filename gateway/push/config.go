// Package push keeps one channel open to every browser that asks for one. Actions come in over the
// node-to-node listener and go out to the user's browser; what the browser answers goes to Kafka as
// a Delivery, and back to whoever waits for it. Who is connected here is told as a Presence.
package push

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds the push channel of one node. The tags are for cmd.
type Config struct {
	Anonymous      bool          `help:"Let a public key alone open the channel of an anonymous id. Anonymous ids and user ids never meet, so it opens no channel of a user." env:"DWELL_PUSH_ANONYMOUS" default:"true" negatable:""`
	MaxConnections int           `help:"Most open connections." env:"DWELL_PUSH_MAX_CONNECTIONS" default:"50000"`
	MaxPerUser     int           `help:"Most connections of one user; a newer one beyond it supersedes the one that was quiet longest." env:"DWELL_PUSH_MAX_PER_USER" default:"8"`
	Queue          int           `help:"Most messages that wait for one connection; a slower peer is disconnected." env:"DWELL_PUSH_QUEUE" default:"64"`
	ReadLimit      int64         `help:"Most bytes of a message from a browser." default:"4096"`
	Messages       int           `help:"Most messages a second from one browser; beyond it, it is disconnected." default:"20"`
	PingEvery      time.Duration `help:"How often a connection is asked whether it lives; it is given up after two unanswered asks." default:"25s"`
	WriteTimeout   time.Duration `help:"Most time that one message may take to be written." default:"5s"`
	Remember       int           `help:"Most pushed actions that are remembered for their replies; beyond it the oldest are forgotten." default:"100000"`
}

// DefaultConfig is what the tags say.
func DefaultConfig() Config {
	return Config{
		Anonymous: true, MaxConnections: 50_000, MaxPerUser: 8, Queue: 64, ReadLimit: 4096, Messages: 20,
		PingEvery: 25 * time.Second, WriteTimeout: 5 * time.Second, Remember: 100_000,
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"max-connections", int64(c.MaxConnections)},
		{"max-per-user", int64(c.MaxPerUser)},
		{"queue", int64(c.Queue)},
		{"read-limit", c.ReadLimit},
		{"messages", int64(c.Messages)},
		{"remember", int64(c.Remember)},
		{"ping-every", int64(c.PingEvery)},
		{"write-timeout", int64(c.WriteTimeout)},
	} {
		if f.value < 1 {
			faults = append(faults, fmt.Errorf("push-%s: must be above zero", f.name))
		}
	}
	return errors.Join(faults...)
}
