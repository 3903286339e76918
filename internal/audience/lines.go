// Package audience loads uploaded audiences: a file of members goes in, a version of the list that all
// workers switch to at once comes out. It also says what lists there are and who is in them.
package audience

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dwellhq/dwell/schemas"
)

// maxLineBytes bounds a line of a members file.
const maxLineBytes = 64 << 10

// columns are the names of a header under which user ids are looked for, in this order.
var columns = []string{"user_id", "userid", "user", "id"}

// Bad is a line that names no member.
type Bad struct {
	File string
	// Line counts from 1.
	Line int64
	What string
}

// Error is "file:line: what".
func (b Bad) Error() string { return fmt.Sprintf("%s:%d: %s", b.File, b.Line, b.What) }

// readLines reads a CSV file, plain or gzip, line by line in bounded memory: a quoted field may not go
// over its line. Each line's user id goes to member, of the column that the first line names user_id,
// userId, user or id, else of the first. What is no member goes to bad. Empty lines are passed
// over. An error of either ends it.
func readLines(file string, in io.Reader, member func(line int64, user string) error, bad func(Bad) error) error {
	in, err := unzip(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, maxLineBytes), maxLineBytes)
	column := 0
	n := int64(0)
	for lines.Scan() {
		n++
		text := bytes.TrimRight(lines.Bytes(), "\r")
		if n == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
			if at, ok := header(text); ok {
				column = at
				continue
			}
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		user, err := field(text, column)
		if err != nil {
			err = bad(Bad{file, n, err.Error()})
		} else {
			err = member(n, user)
		}
		if err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return Bad{file, n + 1, fmt.Sprintf("has more than %d bytes: no list of members has such lines", maxLineBytes)}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s after line %d: %w", file, n, err)
	}
	return nil
}

// unzip unpacks gzip, which it knows by its first bytes.
func unzip(in io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(in, 256<<10)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(b)
	}
	return b, nil
}

// header says which column of a first line names user ids; false: it is a member.
func header(line []byte) (int, bool) {
	fields, err := split(line)
	if err != nil {
		return 0, false
	}
	for _, name := range columns {
		if i := slices.IndexFunc(fields, func(f string) bool { return strings.EqualFold(strings.TrimSpace(f), name) }); i >= 0 {
			return i, true
		}
	}
	return 0, false
}

// field is the user id of a line.
func field(line []byte, column int) (string, error) {
	fields, err := split(line)
	switch {
	case err != nil:
		return "", err
	case column >= len(fields):
		return "", fmt.Errorf("has %d columns; the user id is in column %d", len(fields), column+1)
	}
	switch user := strings.TrimSpace(fields[column]); {
	case user == "":
		return "", errors.New("has no user id")
	case len(user) > schemas.MaxIDBytes:
		return "", fmt.Errorf("has a user id of %d bytes, at most %d are taken", len(user), schemas.MaxIDBytes)
	case !utf8.ValidString(user):
		return "", errors.New("is not UTF-8")
	case strings.ContainsFunc(user, func(r rune) bool { return r < ' ' }):
		return "", errors.New("has a user id with control characters")
	default:
		return user, nil
	}
}

// split cuts a line into its fields.
func split(line []byte) ([]string, error) {
	if bytes.IndexByte(line, '"') < 0 { // nearly all
		return strings.Split(string(line), ","), nil
	}
	fields, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil {
		return nil, fmt.Errorf("is no line of CSV: %w", err)
	}
	return fields, nil
}
