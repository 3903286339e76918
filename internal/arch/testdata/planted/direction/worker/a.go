// Package worker leans on a harness.
package worker

import (
	_ "net/http/httptest" // want direction

	_ "github.com/dwellhq/dwell/processors/proctest" // want direction
)
