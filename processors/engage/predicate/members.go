package predicate

// property is one member of an object, by where its name and its value lie in the text.
type property struct {
	name, nameEnd int
	// from and to are the value, of a text without its quotes; kind is its first byte.
	from, to int
	kind     byte
	whole    bool
	// value is what of made of it.
	value any
	made  bool
}

// of is the member's value: nil, bool, int64, float64 or string. It shares no memory with raw.
func (m *property) of(raw []byte) any {
	if m.made {
		return m.value
	}
	m.made = true
	switch m.kind {
	case '"':
		m.value = string(raw[m.from:m.to])
	case 't':
		m.value = true
	case 'f':
		m.value = false
	case 'n':
		m.value = nil
	default:
		m.value = number(string(raw[m.from:m.to]), m.whole)
	}
	return m.value
}

// members appends the members of an object that has plain ones only: numbers, truth values, null, and
// texts of ASCII without escapes. False: it is something else, or no JSON. What it takes is valid.
func members(raw []byte, all []property) ([]property, bool) {
	at := space(raw, 0)
	if at >= len(raw) || raw[at] != '{' {
		return nil, false
	}
	at = space(raw, at+1)
	if at < len(raw) && raw[at] == '}' {
		return all, space(raw, at+1) == len(raw)
	}
	for {
		var m property
		var ok bool
		if m.name, m.nameEnd, at, ok = plainText(raw, at); !ok {
			return nil, false
		}
		if at = space(raw, at); at >= len(raw) || raw[at] != ':' {
			return nil, false
		}
		if at, ok = m.take(raw, space(raw, at+1)); !ok {
			return nil, false
		}
		all = append(all, m)
		if at = space(raw, at); at >= len(raw) {
			return nil, false
		}
		switch raw[at] {
		case ',':
			at = space(raw, at+1)
		case '}':
			return all, space(raw, at+1) == len(raw)
		default:
			return nil, false
		}
	}
}

// take finds the value that begins at a place, and returns where it ends.
func (m *property) take(raw []byte, at int) (end int, ok bool) {
	if at >= len(raw) {
		return at, false
	}
	m.kind = raw[at]
	switch m.kind {
	case '"':
		m.from, m.to, end, ok = plainText(raw, at)
		return end, ok
	case 't':
		return word(raw, at, "true")
	case 'f':
		return word(raw, at, "false")
	case 'n':
		return word(raw, at, "null")
	}
	m.from = at
	m.to, m.whole, ok = plainNumber(raw, at)
	return m.to, ok
}

// space is the place of the next byte that is no space.
func space(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\n' || raw[at] == '\r') {
		at++
	}
	return at
}

// plainText finds a text of ASCII without escapes: from and to are what is between its quotes.
func plainText(raw []byte, at int) (from, to, end int, ok bool) {
	if at >= len(raw) || raw[at] != '"' {
		return 0, 0, at, false
	}
	for to = at + 1; to < len(raw); to++ {
		switch c := raw[to]; {
		case c == '"':
			return at + 1, to, to + 1, true
		case c < ' ' || c >= 0x80 || c == '\\':
			return 0, 0, at, false
		}
	}
	return 0, 0, at, false
}

func word(raw []byte, at int, w string) (end int, ok bool) {
	end = at + len(w)
	return end, end <= len(raw) && string(raw[at:end]) == w
}

// plainNumber finds the end of a number as JSON writes it; whole says that it has no fraction and no
// exponent.
func plainNumber(raw []byte, at int) (end int, whole, ok bool) {
	if at < len(raw) && raw[at] == '-' {
		at++
	}
	first := at
	if at = digits(raw, at); at == first || raw[first] == '0' && at > first+1 {
		return at, false, false
	}
	whole = true
	if at < len(raw) && raw[at] == '.' {
		whole, first = false, at+1
		if at = digits(raw, first); at == first {
			return at, false, false
		}
	}
	if at < len(raw) && (raw[at] == 'e' || raw[at] == 'E') {
		if at++; at < len(raw) && (raw[at] == '+' || raw[at] == '-') {
			at++
		}
		whole, first = false, at
		if at = digits(raw, first); at == first {
			return at, false, false
		}
	}
	return at, whole, true
}

// digits is the place of the next byte that is no digit.
func digits(raw []byte, at int) int {
	for at < len(raw) && raw[at] >= '0' && raw[at] <= '9' {
		at++
	}
	return at
}
