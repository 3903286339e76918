package exposure

import (
	_ "testing"

	_ "github.com/dwellhq/dwell/embedded"
	_ "github.com/dwellhq/dwell/processors/proctest"
)
