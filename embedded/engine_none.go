//go:build !linux || nochdb

package embedded

import "os"

// startEngine has nothing to load here. The build tag nochdb leaves purego,
// and with it the need for a C library at run time, out of the binary.
func startEngine(string, []string) (*engine, error) { return nil, ErrUnsupported }

func unread(*os.File) int { return 0 }
