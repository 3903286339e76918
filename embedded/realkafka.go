package embedded

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// RealKafkaConfig sets up a real Apache Kafka. Dir alone is needed.
type RealKafkaConfig struct {
	// Dir keeps the data and the nodes' logs; one that holds data already is
	// started with it, given the same number of Nodes.
	Dir string
	// Nodes is how many JVMs run, each broker and controller: zero means 1.
	// With 3 or more, topics have three replicas, of which two must be in sync.
	Nodes int
	// Ports are the brokers' ports, one for each node; nil means free ones.
	Ports []int
	// HeapMB is each JVM's heap; zero means 512.
	HeapMB int
	// Properties are added to each node's server properties and win over ours.
	Properties map[string]string
	// Cache is where the jars are kept; empty as in FetchKafka.
	Cache string
	// Progress gets a line for people now and then; nil is allowed.
	Progress func(string)
	// StartTimeout is how long a node may take until it answers. Zero means 3 min: a JVM on a machine that builds
	// something takes more than one.
	StartTimeout time.Duration
}

// RealKafka is a running Kafka cluster on 127.0.0.1. Its methods are safe from
// any goroutine; those on one node wait for each other.
//
// The JVMs never outlive this process, however it ends: beside each sits a
// shell that reads from a pipe only this process holds open, and kills the JVM
// when the pipe ends. That needs nothing but a POSIX sh, does not depend on the
// operating system thread that started it (as Linux's parent death signal
// does), and leaves the JVM the direct child that signals and Wait reach.
type RealKafka struct {
	nodes  []*node
	lock   *os.File
	failed chan error
	once   sync.Once
	err    error // Close's answer
}

// StartRealKafka fetches what is missing, formats the storage of nodes that
// have none, starts all nodes and returns once each answers requests and knows
// all others. Errors include ErrNoJava, ErrNoMaven and *PortInUseError; after
// an error nothing is left running. ctx bounds the start alone.
func StartRealKafka(ctx context.Context, cfg RealKafkaConfig) (*RealKafka, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("start Kafka: %w", err)
	}
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	jars, err := FetchKafka(ctx, cfg.Cache, cfg.Progress)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make Kafka's data directory: %w", err)
	}
	lock, err := lockNow(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("open Kafka's data in %s: %w", cfg.Dir, err)
	}
	k := &RealKafka{lock: lock, failed: make(chan error, 1)}
	if err := k.start(ctx, cfg, jvm{java: java, jars: jars, heapMB: cfg.HeapMB}); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (c RealKafkaConfig) withDefaults() (RealKafkaConfig, error) {
	if c.Dir == "" {
		return c, errors.New("a data directory is needed")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, err
	}
	c.Dir = dir
	if c.Nodes <= 0 {
		c.Nodes = 1
	}
	if c.HeapMB <= 0 {
		c.HeapMB = 512
	}
	if c.StartTimeout <= 0 {
		c.StartTimeout = 3 * time.Minute
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Ports == nil {
		c.Ports = make([]int, c.Nodes)
	}
	if len(c.Ports) != c.Nodes {
		return c, fmt.Errorf("%d ports given for %d nodes", len(c.Ports), c.Nodes)
	}
	return c, nil
}

func (k *RealKafka) start(ctx context.Context, cfg RealKafkaConfig, vm jvm) error {
	ports, err := kafkaPorts(ctx, cfg)
	if err != nil {
		return err
	}
	id, err := clusterID(cfg.Dir)
	if err != nil {
		return err
	}
	for i := range cfg.Nodes {
		n := &node{
			vm: vm, id: i + 1, dir: filepath.Join(cfg.Dir, fmt.Sprintf("node%d", i+1)),
			port: ports[i], limit: cfg.StartTimeout, failed: k.failed,
		}
		if err := n.configure(properties(cfg, ports, n)); err != nil {
			return err
		}
		k.nodes = append(k.nodes, n)
	}
	cfg.Progress(fmt.Sprintf("starting Kafka %s, %d node(s)", kafkaVersion, cfg.Nodes))
	var g errgroup.Group // waits for all, so that an error leaves none half-started
	for _, n := range k.nodes {
		g.Go(func() error {
			if err := n.format(ctx, id); err != nil {
				return err
			}
			return n.launch()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range k.nodes {
		g.Go(func() error { return n.await(ctx, cfg.Nodes) })
	}
	return g.Wait()
}

// kafkaPorts returns the brokers' ports, then the controllers'. A JVM that the
// last run left behind may need a moment to end, so a port that is taken is
// tried again for three seconds.
func kafkaPorts(ctx context.Context, cfg RealKafkaConfig) ([]int, error) {
	var claims []claim
	for i, p := range cfg.Ports {
		claims = append(claims, claim{p, fmt.Sprintf("Kafka node %d", i+1)})
	}
	for i := range cfg.Ports {
		claims = append(claims, claim{0, fmt.Sprintf("the controller of Kafka node %d", i+1)})
	}
	limit := time.NewTimer(3 * time.Second)
	defer limit.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		ports, err := freePorts(claims...)
		var inUse *PortInUseError
		if !errors.As(err, &inUse) {
			return ports, err
		}
		select {
		case <-again.C:
		case <-limit.C:
			return nil, inUse
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// clusterID is drawn once for a data directory.
func clusterID(dir string) (string, error) {
	path := filepath.Join(dir, "cluster.id")
	if raw, err := os.ReadFile(path); err == nil && len(raw) > 0 {
		return strings.TrimSpace(string(raw)), nil
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f           // an id that begins with - would be taken for an option
	id := base64.RawURLEncoding.EncodeToString(b[:])
	tmp := path + ".tmp"
	if err := errors.Join(os.WriteFile(tmp, []byte(id+"\n"), 0o644), os.Rename(tmp, path)); err != nil {
		return "", fmt.Errorf("write Kafka's cluster id: %w", err)
	}
	return id, nil
}

// Addrs returns the brokers' addresses, of nodes that are down too.
func (k *RealKafka) Addrs() []string {
	var out []string
	for _, n := range k.nodes {
		out = append(out, address(n.port))
	}
	return out
}

// Pids returns the JVMs' process ids, zero for nodes that are down.
func (k *RealKafka) Pids() []int {
	var out []int
	for _, n := range k.nodes {
		out = append(out, n.pid())
	}
	return out
}

// Failed gets an error, with the end of the node's log, when a node ends that
// nobody asked to end. Only the first is kept.
func (k *RealKafka) Failed() <-chan error { return k.failed }

// Kill ends node i (from 0) with SIGKILL and returns when it is gone.
func (k *RealKafka) Kill(i int) error { return k.nodes[i].kill() }

// Stop ends node i in order (SIGTERM) and returns when it is gone; one that
// takes longer than 30 s is killed and reported.
func (k *RealKafka) Stop(i int) error { return k.nodes[i].stop(nodeStops) }

// Start starts node i again with its data and returns once it answers as a
// member of its cluster; so a majority of nodes must be up, or be starting.
func (k *RealKafka) Start(ctx context.Context, i int) error {
	if err := k.nodes[i].launch(); err != nil {
		return err
	}
	return k.nodes[i].await(ctx, 1)
}

// Close stops all nodes at once and returns when they are gone; what does not
// end within 10 s, as a node without a majority of controllers, is killed. That
// loses nothing that was acknowledged. A second call does nothing.
func (k *RealKafka) Close() error {
	k.once.Do(func() {
		var g errgroup.Group
		for _, n := range k.nodes {
			g.Go(func() error {
				if err := n.stop(closeStops); !errors.Is(err, errKilled) {
					return err
				}
				return nil
			})
		}
		k.err = errors.Join(g.Wait(), k.lock.Close())
	})
	return k.err
}
