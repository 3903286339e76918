// Package exposure leans on a part of engage.
package exposure

import _ "github.com/dwellhq/dwell/processors/engage/trigger" // want direction
