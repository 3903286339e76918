package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is dwell, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dwell-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "dwell")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/dwell").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build dwell: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
