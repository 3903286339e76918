// Package dev runs a whole dwell on one machine: an embedded Kafka and ClickHouse (or outside ones),
// gateway, worker, engager and sink, each a child process of the same binary, so that any of them
// may be killed and comes back alone.
package dev

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Config of a local run. The tags are for cmd.
type Config struct {
	Data           string `help:"Folder that keeps all data." default:".dwell" env:"DWELL_DATA" type:"path"`
	HTTPPort       int    `help:"Port of pages and API." default:"8080" env:"DWELL_HTTP_PORT"`
	KafkaPort      int    `help:"Port of the embedded Kafka." default:"9092" env:"DWELL_KAFKA_PORT"`
	ClickHousePort int    `help:"Port of the embedded ClickHouse, HTTP." default:"8123" env:"DWELL_CLICKHOUSE_PORT"`
	AdminPort      int    `help:"Port of health and metrics." default:"8081" env:"DWELL_ADMIN_PORT"`
	Kafka          string `help:"embedded (kfake, exact while it lives), real (Apache Kafka; needs a JDK and Maven), or outside (--brokers)." enum:"embedded,real,outside" default:"embedded" env:"KAFKA"`
	Brokers        string `help:"Outside brokers, host:port,host:port; implies --kafka=outside." env:"DWELL_BROKERS"`
	ClickHouse     string `help:"Outside ClickHouse, as a URL: http://user@host:8123/dwell; empty: the embedded one." env:"DWELL_CLICKHOUSE"`
	Partitions     int    `help:"Partitions of topics keyed by user, when they are created." default:"4" env:"DWELL_PARTITIONS"`
	Cache          string `help:"Folder that keeps what was fetched; empty: the user's cache folder." env:"DWELL_CACHE" type:"path"`
	MinFree        int    `help:"Free disk space, MiB, below which a run does not start, or stops in order; 0: no limit." default:"256" env:"DWELL_MIN_FREE"`

	// Campaigns are applied once, into an empty system.
	Campaigns map[string][]byte `kong:"-"`
	// Say prints a line for the person at the terminal.
	Say func(string) `kong:"-"`
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	seen := map[int]string{}
	for _, p := range c.ports() {
		if p.port < 1 || p.port > 65535 {
			faults = append(faults, fmt.Errorf("--%s: %d is no port", p.flag, p.port))
		}
		if other, dup := seen[p.port]; dup {
			faults = append(faults, fmt.Errorf("--%s and --%s are both %d", other, p.flag, p.port))
		}
		seen[p.port] = p.flag
	}
	if c.MinFree < 0 {
		faults = append(faults, fmt.Errorf("--min-free: %d MiB is less than nothing", c.MinFree))
	}
	if c.Kafka == "outside" && c.Brokers == "" {
		faults = append(faults, errors.New("--kafka=outside needs --brokers or DWELL_BROKERS"))
	}
	if c.ClickHouse != "" {
		if u, err := url.Parse(c.ClickHouse); err != nil || u.Host == "" {
			faults = append(faults, fmt.Errorf("--click-house: %q is no URL such as http://127.0.0.1:8123/dwell", c.ClickHouse))
		}
	}
	return errors.Join(faults...)
}

// port is one that this run listens on.
type port struct {
	port            int
	flag, env, what string
}

func (c Config) ports() []port {
	all := []port{
		{c.HTTPPort, "http-port", "DWELL_HTTP_PORT", "pages and API"},
		{c.AdminPort, "admin-port", "DWELL_ADMIN_PORT", "health and metrics"},
	}
	if c.Kafka != "outside" {
		all = append(all, port{c.KafkaPort, "kafka-port", "DWELL_KAFKA_PORT", "Kafka"})
	}
	if c.ClickHouse == "" {
		all = append(all, port{c.ClickHousePort, "click-house-port", "DWELL_CLICKHOUSE_PORT", "ClickHouse"})
	}
	return all
}

// checkPorts names every port that another program holds.
func (c Config) checkPorts() error {
	var faults []error
	for _, p := range c.ports() {
		l, err := net.Listen("tcp", local(p.port))
		if err != nil {
			faults = append(faults, fmt.Errorf("port %d (%s) is in use: stop what uses it, or choose another with --%s or %s", p.port, p.what, p.flag, p.env))
			continue
		}
		l.Close()
	}
	return errors.Join(faults...)
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// brokers are where everybody finds Kafka.
func (c Config) brokers() []string {
	if c.Kafka == "outside" {
		return strings.Split(c.Brokers, ",")
	}
	return []string{local(c.KafkaPort)}
}

// clickHouse is where sink and demo find ClickHouse.
func (c Config) clickHouse() string {
	if c.ClickHouse != "" {
		return c.ClickHouse
	}
	return "http://" + local(c.ClickHousePort) + "/dwell"
}
