package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// How long a node may take for an ordered end: alone, and when all end at once
// and its controllers may be gone before it has said goodbye to them.
const (
	nodeStops  = 30 * time.Second
	closeStops = 10 * time.Second
)

// errKilled says that an ordered end took too long.
var errKilled = errors.New("killed, as an ordered end took too long")

// guard becomes the JVM ("exec") after it has left a watcher beside it, which
// waits for the end of descriptor 3 and then kills the JVM: $$ is the guard's
// process id, which the JVM keeps.
const guard = `(while read -r _; do :; done <&3; kill -9 $$) </dev/null >/dev/null 2>&1 & exec "$@" 3<&-`

// logging makes SLF4J's simple logger, which writes to standard error, say when and what is worth a warning.
const logging = "-Dorg.slf4j.simpleLogger."

// jvm says how Java programs are run.
type jvm struct {
	java, jars string
	heapMB     int
}

// args are those of Kafka's own start script as far as pauses go: the JVM's defaults would let a collection
// hold every request up for 200 ms.
func (v jvm) args(class string, args ...string) []string {
	return append([]string{
		fmt.Sprintf("-Xmx%dm", v.heapMB), "-XX:+ExitOnOutOfMemoryError",
		"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		logging + "defaultLogLevel=warn", logging + "showDateTime=true", logging + "dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
		logging + "log.org.apache.kafka.clients.NetworkClient=error", // that another node is down, ten times a second
		"-cp", filepath.Join(v.jars, "*"), class,
	}, args...)
}

// node is one JVM and its files.
type node struct {
	vm     jvm
	id     int
	dir    string
	port   int
	limit  time.Duration // for a start
	failed chan<- error

	mu  sync.Mutex
	run *nodeRun // nil while down
}

// nodeRun is one life of a node.
type nodeRun struct {
	cmd    *exec.Cmd
	alive  *os.File      // write end of the guard's pipe
	exited chan struct{} // closed when the JVM is reaped
	err    error         // how it ended; valid once exited is closed
	asked  chan struct{} // closed when the end was asked for
}

// properties are the server's settings: everything on loopback, no waiting for
// members that tests know are not coming, short sessions for tests that kill. A
// killed broker may come back only when its session is over, by default 9 s.
func properties(cfg RealKafkaConfig, ports []int, n *node) map[string]string {
	brokers := cfg.Nodes
	var voters []string
	for i := range brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, address(ports[brokers+i])))
	}
	replicas, insync := "1", "1"
	if brokers >= 3 {
		replicas, insync = "3", "2"
	}
	p := map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  fmt.Sprint(n.id),
		"controller.quorum.voters":                 strings.Join(voters, ","),
		"listeners":                                "PLAINTEXT://" + address(n.port) + ",CONTROLLER://" + address(ports[brokers+n.id-1]),
		"advertised.listeners":                     "PLAINTEXT://" + address(n.port),
		"controller.listener.names":                "CONTROLLER",
		"listener.security.protocol.map":           "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"log.dirs":                                 filepath.ToSlash(n.data()),
		"default.replication.factor":               replicas,
		"min.insync.replicas":                      insync,
		"offsets.topic.replication.factor":         replicas,
		"offsets.topic.num.partitions":             "8",
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            insync,
		"transaction.state.log.num.partitions":     "8",
		"broker.session.timeout.ms":                "3000",
		"broker.heartbeat.interval.ms":             "500",
		"group.initial.rebalance.delay.ms":         "0",
		"group.min.session.timeout.ms":             "1000",
		"add.partitions.to.txn.retry.backoff.ms":   "1",
		"auto.create.topics.enable":                "false",
	}
	maps.Copy(p, cfg.Properties)
	return p
}

func (n *node) data() string   { return filepath.Join(n.dir, "data") }
func (n *node) config() string { return filepath.Join(n.dir, "server.properties") }
func (n *node) log() string    { return filepath.Join(n.dir, "server.log") }

func (n *node) configure(props map[string]string) error {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(props)) {
		fmt.Fprintf(&b, "%s=%s\n", name, strings.ReplaceAll(props[name], `\`, `\\`))
	}
	err := os.MkdirAll(n.dir, 0o755)
	err = errors.Join(err, os.WriteFile(n.config(), []byte(b.String()), 0o644))
	if err != nil {
		return fmt.Errorf("configure Kafka node %d: %w", n.id, err)
	}
	return nil
}

// format prepares the storage; one that is formatted keeps its data.
func (n *node) format(ctx context.Context, cluster string) error {
	if _, err := os.Stat(filepath.Join(n.data(), "meta.properties")); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, n.vm.java, n.vm.args("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", n.config())...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format the storage of Kafka node %d in %s: %w: %s", n.id, n.dir, err, lastLines(string(out), 3))
	}
	return nil
}

// launch starts the JVM and does not wait for it to answer.
func (n *node) launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run != nil {
		return fmt.Errorf("start Kafka node %d: it is running", n.id)
	}
	out, err := os.OpenFile(n.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) // what the life before said stays
	if err != nil {
		return fmt.Errorf("start Kafka node %d: %w", n.id, err)
	}
	defer out.Close()
	watched, alive, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start Kafka node %d: %w", n.id, err)
	}
	defer watched.Close()
	args := append([]string{"-c", guard, "sh", n.vm.java}, n.vm.args("kafka.Kafka", n.config())...)
	cmd := exec.Command("sh", args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{watched}
	// A group of its own: Ctrl-C is not for it, and the watcher can be ended with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		alive.Close()
		return fmt.Errorf("start Kafka node %d: %w", n.id, err)
	}
	n.run = &nodeRun{cmd: cmd, alive: alive, exited: make(chan struct{}), asked: make(chan struct{})}
	go n.reap(n.run)
	return nil
}

func (n *node) reap(r *nodeRun) {
	r.err = r.cmd.Wait()
	// The watcher goes before its pipe is closed, so that it kills nobody who
	// was given the JVM's process id since. It keeps the group's number ours.
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	r.alive.Close()
	n.mu.Lock()
	n.run = nil
	n.mu.Unlock()
	close(r.exited)
	select {
	case <-r.asked:
	default:
		select {
		case n.failed <- n.ended(r):
		default:
		}
	}
}

func (n *node) ended(r *nodeRun) error {
	raw, _ := os.ReadFile(n.log())
	return fmt.Errorf("run Kafka node %d: it ended by itself: %w; the end of its log %s:\n%s", n.id, orNothing(r.err), n.log(), lastLines(string(raw), 15))
}

// current returns the running life, marked as asked to end, or nil.
func (n *node) current() *nodeRun {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run == nil {
		return nil
	}
	select {
	case <-n.run.asked:
	default:
		close(n.run.asked)
	}
	return n.run
}

// pid is the JVM's process id, or zero while the node is down.
func (n *node) pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run == nil {
		return 0
	}
	return n.run.cmd.Process.Pid
}

func (n *node) kill() error {
	r := n.current()
	if r == nil {
		return fmt.Errorf("kill Kafka node %d: it is not running", n.id)
	}
	_ = r.cmd.Process.Kill()
	<-r.exited
	return nil
}

// stop of a node that is down does nothing. One that has not ended within limit
// is killed, and the error is errKilled.
func (n *node) stop(limit time.Duration) error {
	r := n.current()
	if r == nil {
		return nil
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-r.exited:
		return nil
	case <-late.C:
		_ = r.cmd.Process.Kill()
		<-r.exited
		return fmt.Errorf("stop Kafka node %d: %w (%s)", n.id, errKilled, limit)
	}
}

// await returns once the node answers, is itself a broker of the cluster, and
// sees at least peers brokers.
func (n *node) await(ctx context.Context, peers int) error {
	n.mu.Lock()
	r := n.run
	n.mu.Unlock()
	if r == nil {
		raw, _ := os.ReadFile(n.log())
		return fmt.Errorf("start Kafka node %d: it ended; the end of its log %s:\n%s", n.id, n.log(), lastLines(string(raw), 15))
	}
	ctx, cancel := context.WithTimeout(ctx, n.limit)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(address(n.port)))
	if err != nil {
		return fmt.Errorf("ask Kafka node %d: %w", n.id, err)
	}
	defer client.Close()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if n.answers(ctx, client, peers) {
			return nil
		}
		select {
		case <-again.C:
		case <-r.exited:
			return n.ended(r)
		case <-ctx.Done():
			raw, _ := os.ReadFile(n.log())
			return fmt.Errorf("start Kafka node %d: no answer within %s: %w; the end of its log %s:\n%s",
				n.id, n.limit, ctx.Err(), n.log(), lastLines(string(raw), 15))
		}
	}
}

func (n *node) answers(ctx context.Context, client *kgo.Client, peers int) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return false
	}
	meta := resp.(*kmsg.MetadataResponse)
	self := slices.ContainsFunc(meta.Brokers, func(b kmsg.MetadataResponseBroker) bool { return int(b.NodeID) == n.id })
	return self && len(meta.Brokers) >= peers
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
