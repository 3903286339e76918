package pack

import "encoding/binary"

// What a dictionary says of its ids: all are UUIDs, or each says what it is.
const (
	uuid  = 0
	mixed = 1
)

// What an id says of itself where they are mixed; text goes on: asText and its length.
const (
	asUUID = 0 // lower case, with its four dashes: 36 bytes in 16
	asHex  = 1 // 32 hex digits, such as processors.DeriveID makes, in 16
	asText = 2
)

const (
	uuidText = 36
	hexText  = 32
	half     = 16
)

// An id's digits are turned over eight at a time: each byte of a uint64 is a digit, the first the lowest.
const (
	each    = 0x0101010101010101
	zeros   = each * '0'
	letters = 'a' - '0' - 10 // how far a letter lies behind where a digit of its value would
)

// digits returns the four bytes that eight lower-case hex digits say, in the order of the text; in bad
// is a bit set if they are none.
func digits(x uint64) (four uint32, bad uint64) {
	v := x&(each*0x0f) + (x>>6&each)*9
	letter := (v + each*6) >> 4 & each // as text has it
	bad = v&(each*0xf0) | (v + zeros + letter*letters ^ x)
	v = (v<<4 | v>>8) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16), bad
}

// text returns the eight hex digits of four bytes.
func text(four uint32) uint64 {
	v := uint64(four)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v>>4 | v<<8) & (each * 0x0f)
	letter := (v + each*6) >> 4 & each
	return v + zeros + letter*letters
}

// four and eight are as many bytes of a text.
func four(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

func eight(s string) uint64 { return four(s) | four(s[4:])<<32 }

// sixteen is what an id of a kind without its own length says.
type sixteen [half]byte

// shorten returns what kind of id it is, and sets b to its 16 bytes unless that is asText.
func shorten(b *sixteen, id string) (kind byte) {
	var w, x, y, z uint64
	switch {
	case len(id) == uuidText && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-':
		w, x, y, z = eight(id[:8]), four(id[9:13])|four(id[14:18])<<32, four(id[19:23])|four(id[24:28])<<32, eight(id[28:])
		kind = asUUID
	case len(id) == hexText:
		w, x, y, z = eight(id[:8]), eight(id[8:16]), eight(id[16:24]), eight(id[24:])
		kind = asHex
	default:
		return asText
	}
	first, bad1 := digits(w)
	second, bad2 := digits(x)
	third, bad3 := digits(y)
	fourth, bad4 := digits(z)
	if bad1|bad2|bad3|bad4 != 0 {
		return asText
	}
	binary.LittleEndian.PutUint64(b[:], uint64(first)|uint64(second)<<32)
	binary.LittleEndian.PutUint64(b[half/2:], uint64(third)|uint64(fourth)<<32)
	return kind
}

// appendUUID appends the text of 16 bytes as a UUID.
func appendUUID(dst, b []byte) []byte {
	var t [uuidText]byte
	x := text(binary.LittleEndian.Uint32(b))
	binary.LittleEndian.PutUint64(t[:], x)
	x = text(binary.LittleEndian.Uint32(b[4:]))
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	binary.LittleEndian.PutUint32(t[9:], uint32(x))
	binary.LittleEndian.PutUint32(t[14:], uint32(x>>32))
	x = text(binary.LittleEndian.Uint32(b[8:]))
	binary.LittleEndian.PutUint32(t[19:], uint32(x))
	binary.LittleEndian.PutUint32(t[24:], uint32(x>>32))
	x = text(binary.LittleEndian.Uint32(b[12:]))
	binary.LittleEndian.PutUint64(t[28:], x)
	return append(dst, t[:]...)
}

// appendHex appends the hex digits of 16 bytes.
func appendHex(dst, b []byte) []byte {
	for i := 0; i < half; i += 4 {
		dst = binary.LittleEndian.AppendUint64(dst, text(binary.LittleEndian.Uint32(b[i:])))
	}
	return dst
}
