// Package clickhouse reaches up and beside.
package clickhouse

import (
	_ "github.com/dwellhq/dwell/kafka" // want direction
	_ "github.com/dwellhq/dwell/sinks"
	_ "github.com/dwellhq/dwell/sinks/channels" // want direction
)
