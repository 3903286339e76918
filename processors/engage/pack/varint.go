package pack

import "encoding/binary"

// Most numbers of a row have one byte or two; encoding/binary is for the others.

func appendUvarint(dst []byte, n uint64) []byte {
	if n < 1<<7 {
		return append(dst, byte(n))
	}
	return appendLong(dst, n)
}

func appendLong(dst []byte, n uint64) []byte {
	if n < 1<<14 {
		return append(dst, byte(n)|0x80, byte(n>>7))
	}
	return binary.AppendUvarint(dst, n)
}

func appendVarint(dst []byte, n int64) []byte { return appendUvarint(dst, zigzag(n)) }

func zigzag(n int64) uint64 { return uint64(n)<<1 ^ uint64(n>>63) }

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }
