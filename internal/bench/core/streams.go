package core

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	source "github.com/dwellhq/dwell/integration/peers"
	"github.com/dwellhq/dwell/internal/bench/child"
)

// ErrNoStreams says that Kafka Streams cannot run here; the error's text says what is missing.
var ErrNoStreams = errors.New("no Kafka Streams here")

// memoryInterval is the commit interval of StreamsMemory.
const memoryInterval = 100 * time.Millisecond

// app is the compiled Kafka Streams application.
type app struct{ java *child.Java }

// buildApp compiles the application, once per source and cache.
func buildApp(ctx context.Context, cache string, say func(string)) (*app, error) {
	peer := child.JavaPeer{Name: "Kafka Streams", Folder: "kafka-streams", Files: source.Files, Source: "Counter.java", MB: 98}
	java, err := peer.Build(ctx, cache, say)
	if errors.Is(err, child.ErrNoJava) {
		return nil, fmt.Errorf("%w: %w", ErrNoStreams, err)
	}
	return &app{java}, err
}

// argv is the command line for a job; the order of the arguments is Counter.java's.
func (a *app) argv(j job) []string {
	threads, memory := 1, j.Stack == StreamsMemory
	if memory {
		threads = 2
	}
	return a.java.Argv([]string{"-XX:+UseParallelGC", "-Xmx1g"},
		"Counter", strings.Join(j.Brokers, ","), j.Name, j.Input, j.Actions, j.Dir,
		strconv.FormatInt(j.Interval.Milliseconds(), 10), strconv.Itoa(threads), strconv.FormatBool(memory), j.Event,
	)
}
