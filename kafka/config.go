// Package kafka reaches the brokers: configuration, topics, emitters, and followers of compacted
// topics. kafka/stream runs processors, kafka/drain feeds sinks. This package and those below it are
// the only ones that know goka and franz-go.
package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config says how to reach the brokers and how topics are made. The tags are for cmd.
type Config struct {
	Brokers []string `help:"Kafka brokers, host:port." env:"DWELL_BROKERS" default:"127.0.0.1:9092"`
	// Partitions of every topic keyed by user; they must all have the same number.
	Partitions int32 `help:"Partitions of topics keyed by user, when they are created." env:"DWELL_PARTITIONS" default:"8"`
	// Replication of created topics; -1 means the broker's default.
	Replication int16 `help:"Replicas of created topics; -1: the broker's default." env:"DWELL_REPLICATION" default:"-1"`

	TLS              bool   `help:"Use TLS to the brokers." env:"DWELL_KAFKA_TLS"`
	CAFile           string `help:"PEM file of the certificate authority; empty: the system's." env:"DWELL_KAFKA_CA_FILE" type:"path"`
	SASL             string `help:"SASL mechanism: plain, scram-sha-256, scram-sha-512; empty: none." env:"DWELL_KAFKA_SASL" enum:",plain,scram-sha-256,scram-sha-512" default:""`
	SASLUser         string `help:"SASL user." env:"DWELL_KAFKA_SASL_USER"`
	SASLPasswordFile string `help:"File that holds the SASL password." env:"DWELL_KAFKA_SASL_PASSWORD_FILE" type:"path"`

	// Registry are the addresses of one Confluent schema registry; none: records in its wire format are
	// rejected.
	Registry             []string `help:"URLs of a Confluent schema registry, for records in its wire format (JSON Schema or Protobuf)." env:"DWELL_REGISTRY"`
	RegistryUser         string   `help:"User of the schema registry." env:"DWELL_REGISTRY_USER"`
	RegistryPasswordFile string   `help:"File that holds the schema registry's password." env:"DWELL_REGISTRY_PASSWORD_FILE" type:"path"`
	RegistryCAFile       string   `help:"PEM file of the schema registry's certificate authority; empty: the system's." env:"DWELL_REGISTRY_CA_FILE" type:"path"`

	// Extra options for every client, such as metrics hooks.
	Extra []kgo.Opt `kong:"-"`
}

// DefaultConfig is a broker on this machine.
func DefaultConfig() Config {
	return Config{Brokers: []string{"127.0.0.1:9092"}, Partitions: 8, Replication: -1}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if len(c.Brokers) == 0 {
		faults = append(faults, errors.New("brokers: none given; set --brokers or DWELL_BROKERS"))
	}
	for _, b := range c.Brokers {
		if !strings.Contains(b, ":") {
			faults = append(faults, fmt.Errorf("brokers: %q has no port; write host:port", b))
		}
	}
	if c.Partitions < 1 || c.Partitions > 1000 {
		faults = append(faults, fmt.Errorf("partitions: %d is not within 1 to 1000", c.Partitions))
	}
	if c.SASL != "" && (c.SASLUser == "" || c.SASLPasswordFile == "") {
		faults = append(faults, fmt.Errorf("sasl: %s needs a user and a password file", c.SASL))
	}
	return errors.Join(append(faults, c.checkRegistry()...)...)
}

// Options are the client options that every client of dwell shares.
func (c Config) Options(clientID string) ([]kgo.Opt, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(clientID),
		// A fresh topic or a transaction right after another needs metadata at once (the default is 5 s).
		kgo.MetadataMinAge(10 * time.Millisecond),
		// Long polls of an idle client hold a broker's connection; 100 ms keeps pauses short.
		kgo.FetchMaxWait(100 * time.Millisecond),
	}
	if c.TLS {
		conf, err := c.tls()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	if c.SASL != "" {
		m, err := c.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return append(opts, c.Extra...), nil
}

// NewClient makes a franz-go client with the shared options and more.
func (c Config) NewClient(clientID string, more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.Options(clientID)
	if err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client %s: %w", clientID, err)
	}
	return cl, nil
}

func (c Config) tls() (*tls.Config, error) {
	return tlsWith(c.CAFile)
}

// tlsWith trusts the authorities of a file, or the system's.
func tlsWith(file string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the CA file: %w", err)
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate", file)
	}
	return conf, nil
}

func (c Config) mechanism() (sasl.Mechanism, error) {
	b, err := os.ReadFile(c.SASLPasswordFile)
	if err != nil {
		return nil, fmt.Errorf("read the SASL password: %w", err)
	}
	pass := strings.TrimSpace(string(b))
	switch c.SASL {
	case "scram-sha-256":
		return scram.Auth{User: c.SASLUser, Pass: pass}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: c.SASLUser, Pass: pass}.AsSha512Mechanism(), nil
	}
	return plain.Auth{User: c.SASLUser, Pass: pass}.AsMechanism(), nil
}
