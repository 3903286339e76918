// Package schemas says what a record is: its types, units, validation and codecs.
// It knows neither where a record lives (topics) nor who reads it (processors), and does no I/O.
//
// Built-in records are protobuf; the .proto files stand beside this one and hold the meaning and
// unit of every field. A field with the suffix _ms is milliseconds: Unix time for a point in
// time, a length otherwise.
package schemas

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate ..
