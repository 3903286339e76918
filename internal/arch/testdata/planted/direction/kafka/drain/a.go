// Package drain reaches up and beside.
package drain

import (
	_ "github.com/dwellhq/dwell/gateway" // want direction
	_ "github.com/dwellhq/dwell/kafka"
	_ "github.com/dwellhq/dwell/kafka/stream/store" // want direction
	_ "github.com/dwellhq/dwell/sinks/clickhouse"
)
