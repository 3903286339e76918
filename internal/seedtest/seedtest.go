// Package seedtest gives tests with random cases their seed: another one each time, or the one of a
// failure that is to be seen again.
package seedtest

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Env names the seed to use, a decimal number from 0 to 2^64-1; without it, or empty, each test draws one.
const Env = "DWELL_SEED"

// Draw is the seed of a test. A test that fails prints it as Env=seed. An Env that is no seed ends the test.
func Draw(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(Env); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", Env, err)
		}
	}
	t.Logf("%s=%d", Env, seed)
	return seed
}
