// Package accesslog reads web server logs: a line in Combined Log Format comes in, its fields come out.
package accesslog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxLineBytes bounds a line; a longer one does not parse.
const MaxLineBytes = 64 << 10

// Line is one request. Fields that the log gives as "-" are empty or zero.
type Line struct {
	Address string
	Time    time.Time
	Method  string
	// Target is the request target as sent: path and query.
	Target   string
	Protocol string
	Status   int
	// Bytes of the answer's body.
	Bytes    int64
	Referrer string
	Agent    string
}

// timeLayout is Apache's %t without the brackets.
const timeLayout = "02/Jan/2006:15:04:05 -0700"

// Parse reads one line without its line end:
//
//	address ident user [time] "request" status bytes "referrer" "agent"
//
// See https://httpd.apache.org/docs/2.4/logs.html#combined. Inside quotes, \" and \\ are escapes;
// others are kept as they stand. The error says which field is wrong.
func Parse(s string) (Line, error) {
	var l Line
	if len(s) > MaxLineBytes {
		return l, fmt.Errorf("line of %d bytes, at most %d are taken", len(s), MaxLineBytes)
	}
	r := scanner{rest: s}
	l.Address = r.word("address")
	r.word("ident")
	r.word("user")
	at := r.between('[', ']', "time")
	request := r.quoted("request")
	status := r.word("status")
	size := r.word("bytes")
	l.Referrer = dash(r.quoted("referrer"))
	l.Agent = dash(r.quoted("agent"))
	if r.err == nil && r.rest != "" {
		r.err = fmt.Errorf("text after the agent: %.40q", r.rest)
	}
	if r.err != nil {
		return Line{}, r.err
	}
	return l, errors.Join(l.setTime(at), l.setRequest(request), l.setStatus(status), l.setBytes(size))
}

func (l *Line) setTime(s string) (err error) {
	if l.Time, err = time.Parse(timeLayout, s); err != nil {
		return fmt.Errorf("time: %q is not like 17/May/2015:10:05:03 +0000", s)
	}
	return nil
}

func (l *Line) setRequest(s string) error {
	parts := strings.Split(s, " ")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return fmt.Errorf("request: %.80q is not method, target and protocol", s)
	}
	l.Method, l.Target, l.Protocol = parts[0], parts[1], parts[2]
	return nil
}

func (l *Line) setStatus(s string) (err error) {
	if l.Status, err = strconv.Atoi(s); err != nil || l.Status < 100 || l.Status > 999 {
		return fmt.Errorf("status: %q is no status code", s)
	}
	return nil
}

func (l *Line) setBytes(s string) (err error) {
	if s == "-" {
		return nil
	}
	if l.Bytes, err = strconv.ParseInt(s, 10, 64); err != nil || l.Bytes < 0 {
		return fmt.Errorf("bytes: %q is no size", s)
	}
	return nil
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// scanner takes fields off the front of a line; after the first fault it takes nothing more.
type scanner struct {
	rest string
	err  error
}

// word takes up to the next space.
func (r *scanner) word(field string) string {
	if r.err != nil {
		return ""
	}
	w, rest, _ := strings.Cut(r.rest, " ")
	if w == "" {
		r.err = fmt.Errorf("%s: missing", field)
	}
	r.rest = rest
	return w
}

// between takes a field that opens and closes with the given bytes, and the space after it.
func (r *scanner) between(open, end byte, field string) string {
	if r.err != nil {
		return ""
	}
	if r.rest == "" || r.rest[0] != open {
		r.err = fmt.Errorf("%s: does not begin with %c", field, open)
		return ""
	}
	v, rest, ok := strings.Cut(r.rest[1:], string(end))
	if !ok {
		r.err = fmt.Errorf("%s: has no closing %c", field, end)
		return ""
	}
	r.rest = strings.TrimPrefix(rest, " ")
	return v
}

// quoted takes a field in double quotes and the space after it.
func (r *scanner) quoted(field string) string {
	if r.err != nil {
		return ""
	}
	if r.rest == "" || r.rest[0] != '"' {
		r.err = fmt.Errorf("%s: does not begin with a quote", field)
		return ""
	}
	var b strings.Builder
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '\\' && i+1 < len(r.rest) && (r.rest[i+1] == '"' || r.rest[i+1] == '\\'):
			i++
			b.WriteByte(r.rest[i])
		case c == '"':
			r.rest = strings.TrimPrefix(r.rest[i+1:], " ")
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	r.err = fmt.Errorf("%s: has no closing quote", field)
	return ""
}
