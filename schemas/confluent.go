package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// frameMagic opens a value in Confluent's wire format: the magic byte, the schema's id in four bytes,
// big-endian, then the payload. No protobuf record and no JSON opens with it.
const frameMagic = 0

// Unframe takes a value in Confluent's wire format apart. ok is false when it is in another form. rest
// shares memory with value; of a Protobuf schema it opens with a message index.
// https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
func Unframe(value []byte) (schema uint32, rest []byte, ok bool) {
	if len(value) < 5 || value[0] != frameMagic {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(value[1:]), value[5:], true
}

// maxIndex bounds how deep messages may lie in each other.
const maxIndex = 32

// MessageIndex reads the message index before a Protobuf payload: which message of the schema's file it
// is, and which of the messages within it, and so on. An error wraps ErrUndecodable.
func MessageIndex(rest []byte) (index []int, payload []byte, err error) {
	next := func() (int, error) {
		n, size := binary.Varint(rest) // zigzag
		if size <= 0 || n < 0 || n > 1<<16 {
			return 0, fmt.Errorf("%w: no message index", ErrUndecodable)
		}
		rest = rest[size:]
		return int(n), nil
	}
	n, err := next()
	if err != nil {
		return nil, nil, err
	}
	if n == 0 { // short for the first message
		return []int{0}, rest, nil
	}
	if n > maxIndex {
		return nil, nil, fmt.Errorf("%w: a message index of %d numbers, at most %d are read", ErrUndecodable, n, maxIndex)
	}
	for range n {
		i, err := next()
		if err != nil {
			return nil, nil, err
		}
		index = append(index, i)
	}
	return index, rest, nil
}

// MessageAt is the name, without packages and messages around it, of the message that lies at an index
// in the text of a .proto file. It reads no more of the language than it takes to find messages.
func MessageAt(proto string, index []int) (string, error) {
	if len(index) == 0 {
		return "", errors.New("an empty message index")
	}
	var (
		p     = protoText{rest: proto}
		open  []bool // of each brace that is open: it is a message on the way
		seen  = 0    // messages at the level looked at
		depth = 0    // how many numbers of the index have been found
	)
	for {
		switch word := p.next(); {
		case word == "":
			return "", fmt.Errorf("the schema holds no message at index %v", index)
		case word == "}":
			if len(open) == 0 {
				return "", errors.New("the schema has a brace too many")
			}
			if open[len(open)-1] {
				return "", fmt.Errorf("the schema holds no message at index %v", index)
			}
			open = open[:len(open)-1]
		case word == "{":
			open = append(open, false)
		case word == "message" && len(open) == depth && p.starts:
			name := p.next()
			if p.next() != "{" {
				continue // a field of a type or name that is called so
			}
			found := seen == index[depth]
			seen++
			open = append(open, found)
			if found {
				if depth++; depth == len(index) {
					return name, nil
				}
				seen = 0
			}
		}
	}
}

// protoText cuts the text of a .proto file into words and signs.
type protoText struct {
	rest   string
	starts bool // the last word opened a statement
	was    string
}

// next is the next word or sign; empty at the end. Comments are left out, and a string is one sign.
func (p *protoText) next() string {
	p.starts = p.was == "" || p.was == "{" || p.was == "}" || p.was == ";"
	p.was = p.word()
	return p.was
}

func (p *protoText) word() string {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n\f\v\ufeff")
		switch {
		case strings.HasPrefix(p.rest, "//"):
			_, p.rest, _ = strings.Cut(p.rest, "\n")
			continue
		case strings.HasPrefix(p.rest, "/*"):
			_, p.rest, _ = strings.Cut(p.rest[2:], "*/")
			continue
		case p.rest == "":
			return ""
		}
		n := 1
		switch c := p.rest[0]; {
		case c == '"' || c == '\'':
			for n < len(p.rest) && p.rest[n] != c {
				if p.rest[n] == '\\' {
					n++
				}
				n++
			}
			n = min(n+1, len(p.rest))
		case isWord(c):
			for n < len(p.rest) && isWord(p.rest[n]) {
				n++
			}
		}
		word := p.rest[:n]
		p.rest = p.rest[n:]
		return word
	}
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
