// Package sinks is in its place.
package sinks
