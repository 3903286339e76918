// Package sinks is fine.
package sinks

func init() {} // want init
