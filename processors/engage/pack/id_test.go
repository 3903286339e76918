package pack

import (
	"strings"
	"testing"
)

// Each byte of each place of an id: what is shortened comes back, and what is no id of the kind is not
// shortened.
func TestOnlyLowerCaseHexIsShortened(t *testing.T) {
	for kind, good := range map[byte]string{asUUID: "01234567-89ab-cdef-0f1e-2d3c4b5a6978", asHex: "0123456789abcdeffedcba9876543210"} {
		for at := range good {
			for c := range 256 {
				id := good[:at] + string([]byte{byte(c)}) + good[at+1:]
				fits := strings.IndexByte("0123456789abcdef", byte(c)) >= 0
				if good[at] == '-' {
					fits = c == '-'
				}
				var b sixteen
				got := shorten(&b, id)
				if (got == kind) != fits || !fits && got != asText {
					t.Fatalf("%q is of kind %d", id, got)
				}
				if back := map[byte]func(_, _ []byte) []byte{asUUID: appendUUID, asHex: appendHex}[kind]; fits && string(back(nil, b[:])) != id {
					t.Fatalf("%q became %q", id, back(nil, b[:]))
				}
			}
		}
	}
}
