package pack

import (
	"encoding/binary"
	"math"
)

// reader takes a packed row apart. Once bad it is at its end, and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		c := r.b[0]
		r.b = r.b[1:]
		return uint64(c)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 { return unzigzag(r.uvarint()) }

func (r *reader) fixed64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// take returns the next n bytes, which are the input's; nil: there are fewer.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// count returns n if so many things of at least size bytes each may follow.
func (r *reader) count(n uint64, size int) int {
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

// uint32 reads a number that must be one of 32 bits.
func (r *reader) uint32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(v)
}

func (r *reader) number(eventMS int64) float64 {
	v := r.uvarint()
	n := unzigzag(v >> numberBits)
	switch v & (1<<numberBits - 1) {
	case asWhole:
		return float64(n)
	case asMoment:
		return float64(n + eventMS)
	case asHundredths:
		return float64(n) / 100
	}
	return math.Float64frombits(r.fixed64())
}

func (r *reader) newer() []byte { return append([]byte(nil), r.take(r.uvarint())...) }

// name appends a name to text, in which the one before it begins at before.
func (r *reader) name(text []byte, before int) []byte {
	c := r.byte()
	shared, rest := uint64(c>>4), uint64(c&nibble)
	if shared == nibble {
		shared += r.uvarint()
	}
	if rest == nibble {
		rest += r.uvarint()
	}
	if shared > maxShared || shared > uint64(len(text)-before) {
		r.fail()
		return text
	}
	text = append(text, text[before:before+int(shared)]...)
	return append(text, r.take(rest)...)
}
