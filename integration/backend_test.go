package integration

import (
	"errors"
	"os"
	"testing"

	"github.com/dwellhq/dwell/embedded"
)

// backend is a kind of broker that dwell runs on.
type backend struct {
	name    string
	brokers string // outside brokers; empty: dwell starts them
	flags   []string
}

// backends runs a test on every kind of broker that is there. A kind that is not is skipped, and the
// skip says why; CI fails when the real Kafka was skipped.
func backends(t *testing.T, test func(*testing.T, backend)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, backend{name: "embedded"}) })
	t.Run("real", func(t *testing.T) {
		_, err := embedded.FetchKafka(t.Context(), "", func(s string) { t.Log(s) })
		if errors.Is(err, embedded.ErrNoJava) || errors.Is(err, embedded.ErrNoMaven) {
			t.Skipf("no real Apache Kafka: %v", err)
		} else if err != nil {
			t.Fatal(err)
		}
		test(t, backend{name: "real", flags: []string{"--kafka", "real"}})
	})
	t.Run("docker", func(t *testing.T) {
		brokers := dockerKafka(t)
		test(t, backend{name: "docker", brokers: brokers, flags: []string{"--brokers", brokers}})
	})
	t.Run("outside", func(t *testing.T) {
		brokers := os.Getenv("DWELL_TEST_BROKERS")
		if brokers == "" {
			t.Skip("DWELL_TEST_BROKERS names no brokers")
		}
		test(t, backend{name: "outside", brokers: brokers, flags: []string{"--brokers", brokers}})
	})
}
