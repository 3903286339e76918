// Package topics needs nothing.
package topics

import _ "google.golang.org/protobuf/proto" // want third-party
