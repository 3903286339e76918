// Package childtest lets a test binary be the processes that the bench under test starts.
package childtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
)

// env is set in the environment of children.
const env = "DWELL_BENCH_CHILD"

// Main is for TestMain, and does not return: it runs the tests, or child if a test's Self was started.
// child gets the last of the command line, as `dwell bench child` gives it.
func Main(m *testing.M, child func(ctx context.Context, spec string, in io.Reader, out io.Writer) error) {
	if os.Getenv(env) == "" {
		os.Exit(m.Run())
	}
	if err := child(context.Background(), os.Args[len(os.Args)-1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Self is this binary. Processes that start it, until the test ends, are children.
func Self(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(env, "1")
	return self
}
