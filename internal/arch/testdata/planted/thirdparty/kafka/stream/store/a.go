// Package store keeps rows.
package store

import _ "github.com/cockroachdb/pebble/v2"
