// Package topics reaches up.
package topics

import (
	_ "github.com/dwellhq/dwell/processors" // want direction
	_ "github.com/dwellhq/dwell/schemas"
)
