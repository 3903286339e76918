package pack

// A name is what it shares with the one before it, and what follows: both lengths in one byte, a
// nibble each; a nibble that is full goes on in a varint.
const (
	nibble = 15
	// maxShared keeps a few bytes from claiming many long names.
	maxShared = 255
)

func appendName(dst []byte, before, name string) []byte {
	shared := 0
	for most := min(len(before), len(name), maxShared); shared < most && before[shared] == name[shared]; {
		shared++
	}
	rest := name[shared:]
	dst = append(dst, byte(min(shared, nibble)<<4|min(len(rest), nibble)))
	if shared >= nibble {
		dst = appendUvarint(dst, uint64(shared-nibble))
	}
	if len(rest) >= nibble {
		dst = appendUvarint(dst, uint64(len(rest)-nibble))
	}
	return append(dst, rest...)
}
