// Package engage composes its parts, and meets exposure at a topic only.
package engage

import (
	_ "github.com/dwellhq/dwell/processors"
	_ "github.com/dwellhq/dwell/processors/engage/campaign"
	_ "github.com/dwellhq/dwell/processors/exposure" // want direction
	_ "github.com/dwellhq/dwell/sinks"               // want direction
)
