package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	source "github.com/dwellhq/dwell/integration/peers"
)

// ErrNoStreams says that Kafka Streams cannot run here; the error's text says what is missing.
var ErrNoStreams = errors.New("no Kafka Streams here")

// memoryInterval is the commit interval of StreamsMemory.
const memoryInterval = 100 * time.Millisecond

// app is the compiled Kafka Streams application.
type app struct {
	java, dir string
}

// buildApp compiles the application, with jars from Maven, once per source and cache.
func buildApp(ctx context.Context, cache string, say func(string)) (*app, error) {
	java, err := tool("java", "a JDK (Debian, Ubuntu: sudo apt-get install openjdk-17-jdk-headless)")
	if err != nil {
		return nil, err
	}
	dir, err := appDir(cache)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err == nil {
		return &app{java, dir}, nil // it got its name when it was complete
	}
	javac, err := tool("javac", "a JDK (Debian, Ubuntu: sudo apt-get install openjdk-17-jdk-headless)")
	if err != nil {
		return nil, err
	}
	mvn, err := tool("mvn", "Maven (Debian, Ubuntu: sudo apt-get install maven)")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("make the cache of Kafka Streams: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "part-")
	if err != nil {
		return nil, fmt.Errorf("make the cache of Kafka Streams: %w", err)
	}
	defer os.RemoveAll(tmp)
	say("fetching Kafka Streams through Maven (96 MB) and compiling Counter.java, once")
	if err := compile(ctx, tmp, mvn, javac); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there != nil { // else another process was faster
			return nil, fmt.Errorf("keep Kafka Streams in the cache: %w", err)
		}
	}
	return &app{java, dir}, nil
}

// appDir is where the application of this source is kept.
func appDir(cache string) (string, error) {
	if cache == "" {
		cache = os.Getenv("DWELL_CACHE")
	}
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a cache folder (set DWELL_CACHE to choose one): %w", err)
		}
		cache = filepath.Join(base, "dwell")
	}
	h := sha256.New()
	for _, name := range []string{"Counter.java", "pom.xml"} {
		b, err := fs.ReadFile(source.Files, name)
		if err != nil {
			return "", err
		}
		_, _ = h.Write(b) // never fails
	}
	return filepath.Abs(filepath.Join(cache, "kafka-streams", fmt.Sprintf("%x", h.Sum(nil)[:8])))
}

func compile(ctx context.Context, dir, mvn, javac string) error {
	if err := os.CopyFS(dir, source.Files); err != nil {
		return fmt.Errorf("unpack the Kafka Streams application: %w", err)
	}
	for _, argv := range [][]string{
		{mvn, "-q", "-B", "--strict-checksums", "-f", "pom.xml", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"},
		{javac, "-nowarn", "-cp", filepath.Join("lib", "*"), "-d", "classes", "Counter.java"},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s for Kafka Streams: %w: %.2000s", filepath.Base(argv[0]), err, out)
		}
	}
	return nil
}

// tool finds a program: that of JAVA_HOME first.
func tool(name, install string) (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path := filepath.Join(home, "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: there is no %s; install %s", ErrNoStreams, name, install)
	}
	return path, nil
}

// argv is the command line for a job; the order of the arguments is Counter.java's.
func (a *app) argv(j job) []string {
	threads, memory := 1, j.Stack == StreamsMemory
	if memory {
		threads = 2
	}
	return []string{
		a.java, "-XX:+UseParallelGC", "-Xmx1g", "-cp", filepath.Join(a.dir, "classes") + string(os.PathListSeparator) + filepath.Join(a.dir, "lib", "*"),
		"Counter", strings.Join(j.Brokers, ","), j.Name, j.Input, j.Actions, j.Dir,
		strconv.FormatInt(j.Interval.Milliseconds(), 10), strconv.Itoa(threads), strconv.FormatBool(memory),
	}
}
