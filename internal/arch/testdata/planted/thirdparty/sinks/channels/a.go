// Package channels needs no library of the sink's.
package channels

import (
	_ "github.com/ClickHouse/clickhouse-go/v2" // want third-party
	_ "github.com/twmb/franz-go/pkg/kgo"       // want third-party
)
