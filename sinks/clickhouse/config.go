// Package clickhouse inserts facts, actions, verdicts, exposures and dead letters into ClickHouse,
// each record exactly once in every table and view. Batches of decoded records enter
// (sinks.Batch); rows with a deduplication token leave. It also makes the tables (Migrate) and
// says what is wrong with them (Sink.Check).
package clickhouse

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Config says where ClickHouse is. The tags are for cmd.
type Config struct {
	// DSN is http://, https:// or clickhouse:// with host:port, and the database as its path; what
	// clickhouse-go takes as parameters may follow.
	DSN string `help:"ClickHouse: http://host:8123/dwell, or clickhouse://host:9000/dwell for its native protocol." env:"DWELL_CLICKHOUSE" default:"http://127.0.0.1:8123/dwell"`
	// User and PasswordFile win over what the DSN says; empty: the DSN's, else ClickHouse's default user.
	User         string `help:"ClickHouse user." env:"DWELL_CLICKHOUSE_USER"`
	PasswordFile string `help:"File that holds the ClickHouse password." env:"DWELL_CLICKHOUSE_PASSWORD_FILE" type:"path"`
	// Conns is how many inserts may run at once, 1 to 256.
	Conns int `help:"Connections to ClickHouse." env:"DWELL_CLICKHOUSE_CONNS" default:"16"`
}

// DefaultConfig is a ClickHouse on this machine, over HTTP.
func DefaultConfig() Config {
	return Config{DSN: "http://127.0.0.1:8123/dwell", Conns: 16}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if _, err := c.parse(); err != nil {
		faults = append(faults, err)
	}
	if c.Conns < 1 || c.Conns > 256 {
		faults = append(faults, fmt.Errorf("conns: %d is not within 1 to 256", c.Conns))
	}
	return errors.Join(faults...)
}

// parse is the DSN alone.
func (c Config) parse() (*clickhouse.Options, error) {
	opt, err := clickhouse.ParseDSN(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("dsn: %w; write http://host:8123/dwell", err)
	}
	if !strings.HasPrefix(c.DSN, "http://") && !strings.HasPrefix(c.DSN, "https://") && !strings.HasPrefix(c.DSN, "clickhouse://") {
		return nil, errors.New("dsn: it must begin with http://, https:// or clickhouse://")
	}
	if opt.Auth.Database == "" {
		opt.Auth.Database = "dwell"
	}
	if !identifier(opt.Auth.Database) {
		return nil, fmt.Errorf("dsn: database %q must be 1 to 64 of a-z A-Z 0-9 _", opt.Auth.Database)
	}
	return opt, nil
}

func (c Config) options() (*clickhouse.Options, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opt, err := c.parse()
	if err != nil {
		return nil, err
	}
	if c.User != "" {
		opt.Auth.Username = c.User
	}
	if c.PasswordFile != "" {
		b, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the ClickHouse password: %w", err)
		}
		opt.Auth.Password = strings.TrimSpace(string(b))
	}
	if opt.Compression == nil {
		opt.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	opt.MaxOpenConns, opt.MaxIdleConns = c.Conns, c.Conns
	opt.DialTimeout = 10 * time.Second // also the longest wait for one of Conns
	return opt, nil
}

func identifier(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return s != "" && len(s) <= 64 && strings.Trim(s, letters) == ""
}
