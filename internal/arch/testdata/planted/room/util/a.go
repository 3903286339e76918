// Package util is nowhere in the layout.
package util // want room
