// Package processors must not know its own processors.
package processors

import _ "github.com/dwellhq/dwell/processors/engage" // want direction
