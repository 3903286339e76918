// Package dwell lies in the root.
package dwell // want room
