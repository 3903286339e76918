// Package gateway reaches beside and up.
package gateway

import (
	_ "github.com/dwellhq/dwell/cmd/dwell" // want direction
	_ "github.com/dwellhq/dwell/gateway/push"
	_ "github.com/dwellhq/dwell/kafka"
	_ "github.com/dwellhq/dwell/worker" // want direction
)
