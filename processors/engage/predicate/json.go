package predicate

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
)

// ParseValue reads one JSON value as a User's Field returns it; false: it is none.
func ParseValue(raw []byte) (any, bool) {
	raw = bytes.TrimRightFunc(raw, unicode.IsSpace)
	if !json.Valid(raw) {
		return nil, false
	}
	r := reader{text: string(raw)}
	return r.value(), true
}

// reader reads JSON that is known to be valid, as encoding/json does, several times as fast: what every
// event with a condition pays. Texts share the memory of the whole.
type reader struct {
	text string
	at   int
}

// value reads one value: nil, bool, int64, float64, string, []any or map[string]any.
func (r *reader) value() any {
	switch c := r.next(); c {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		return r.string()
	case 't':
		r.at += len("true")
		return true
	case 'f':
		r.at += len("false")
		return false
	case 'n':
		r.at += len("null")
		return nil
	}
	from, whole := r.at, true
	for r.at < len(r.text) && strings.IndexByte("+-.0123456789eE", r.text[r.at]) >= 0 {
		whole = whole && strings.IndexByte("+.eE", r.text[r.at]) < 0
		r.at++
	}
	return number(r.text[from:r.at], whole)
}

// next is the next byte that is no space; it is not read yet.
func (r *reader) next() byte {
	for r.text[r.at] <= ' ' {
		r.at++
	}
	return r.text[r.at]
}

// object reads from the brace on. Of a name that comes twice, the last one counts.
func (r *reader) object() map[string]any {
	m := map[string]any{}
	for r.at++; r.next() != '}'; {
		if r.next() == ',' {
			r.at++
			r.next()
		}
		name := r.string()
		r.next()
		r.at++ // the colon
		m[name] = r.value()
	}
	r.at++
	return m
}

func (r *reader) array() []any {
	list := []any{}
	for r.at++; r.next() != ']'; {
		if r.next() == ',' {
			r.at++
		}
		list = append(list, r.value())
	}
	r.at++
	return list
}

// string reads from the quote on.
func (r *reader) string() string {
	from, simple := r.at, true
	for r.at++; r.text[r.at] != '"'; r.at++ {
		switch c := r.text[r.at]; {
		case c == '\\':
			simple = false
			r.at++
		case c >= 0x80: // may be no UTF-8
			simple = false
		}
	}
	r.at++
	if simple {
		return r.text[from+1 : r.at-1]
	}
	var s string
	if json.Unmarshal([]byte(r.text[from:r.at]), &s) != nil {
		return "" // it is valid
	}
	return s
}

// number is an int64 where it is written whole and fits, else a float64; out of range is ±Inf.
func number(s string, whole bool) any {
	if whole {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}
