// Package proctest is a harness.
package proctest

import (
	_ "testing"

	_ "github.com/dwellhq/dwell/embedded"
)
