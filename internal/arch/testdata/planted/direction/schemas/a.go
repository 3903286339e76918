// Package schemas reaches up, and uses a test's means.
package schemas

import (
	_ "testing" // want direction

	_ "github.com/dwellhq/dwell/topics" // want direction
)
