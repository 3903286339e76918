// Package campaigns holds example campaign files, for dwell dev and for tests.
package campaigns

import "embed"

// Files are the .yaml files of this folder.
//
//go:embed *.yaml
var Files embed.FS
