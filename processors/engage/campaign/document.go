package campaign

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// What bounds the time that the YAML parser takes: it grows by the square of how deep things nest,
// by brackets or, on one line, by dashes.
const (
	maxNesting   = 50
	maxLineBytes = 16 << 10
)

// Parse reads every campaign of a file; file is its name, for messages. On an error, which joins
// one Fault for each thing that is wrong, it returns no campaign.
func Parse(file string, source []byte) (found []*Campaign, err error) {
	defer func() {
		if r := recover(); r != nil { // of the YAML or CEL library: one bad file must not stop a worker
			found, err = nil, &Fault{file, 1, "", fmt.Sprintf("could not be read: %v", r), "report it with the file"}
		}
	}()
	if len(source) > MaxFileBytes {
		return nil, &Fault{file, 1, "", fmt.Sprintf("has %d bytes, at most %d are taken", len(source), MaxFileBytes), "split the file"}
	}
	var faults []error
	lines := map[string]int{}
	for _, d := range split(file, source) {
		c := d.parse()
		if c != nil {
			if first, twice := lines[c.Name]; twice {
				d.fault(d.first, "metadata.name", fmt.Sprintf("%q is also the name of the campaign at line %d", c.Name, first), "give each campaign its own name")
			}
			lines[c.Name] = c.Line
			found = append(found, c)
		}
		slices.SortStableFunc(d.faults, func(a, b *Fault) int { return a.Line - b.Line })
		for _, f := range d.faults {
			faults = append(faults, f)
		}
	}
	if len(found) == 0 && len(faults) == 0 {
		faults = append(faults, &Fault{file, 1, "", "holds no campaign", "write a document with kind: Campaign"})
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return found, nil
}

// document is one document of a file while it is read.
type document struct {
	file   string
	source []byte
	// first is the line of the file at which source starts, from 1.
	first  int
	faults []*Fault
}

// split cuts a file at its "---" lines; documents without content are left out. A line that starts
// with "---" ends a document wherever it stands, so no YAML is needed to find it.
func split(file string, source []byte) []*document {
	var docs []*document
	line, first := 1, 1
	var text []byte
	cut := func() {
		if !blank(text) {
			docs = append(docs, &document{file: file, source: text, first: first})
		}
		text = nil
	}
	for l := range bytes.Lines(source) {
		line++
		if after, ok := bytes.CutPrefix(l, []byte("---")); ok && (len(after) == 0 || bytes.IndexByte([]byte(" \t\r\n"), after[0]) >= 0) {
			cut()
			first = line
			if !blank(after) { // content on the line of the marker
				text, first = append(text, after...), line-1
			}
			continue
		}
		text = append(text, l...)
	}
	cut()
	return docs
}

// blank says whether text is only space and comments.
func blank(text []byte) bool {
	for l := range bytes.Lines(text) {
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' {
			return false
		}
	}
	return true
}

// fault notes a fault; line counts from 1 in the file.
func (d *document) fault(line int, path, what, do string) {
	d.faults = append(d.faults, &Fault{d.file, line, path, what, do})
}

// line is where a node stands in the file.
func (d *document) line(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return d.first
	}
	return d.first - 1 + n.GetToken().Position.Line
}

// parse returns the document's campaign, nil when a fault was noted.
func (d *document) parse() *Campaign {
	body := d.body()
	if len(d.faults) > 0 {
		return nil
	}
	c := d.campaign(body)
	if len(d.faults) > 0 {
		return nil
	}
	sum := sha256.Sum256(d.source)
	c.Version = hex.EncodeToString(sum[:6])
	c.PatternHash = c.Trigger.hash()
	c.Source, c.File, c.Line = d.source, d.file, d.first
	return c
}

// body parses the YAML.
func (d *document) body() ast.Node {
	switch {
	case len(d.source) > MaxDocumentBytes:
		d.fault(d.first, "", fmt.Sprintf("has %d bytes, at most %d are taken", len(d.source), MaxDocumentBytes), "shorten it")
		return nil
	case !utf8.Valid(d.source):
		d.fault(d.first, "", "is not UTF-8", "save the file as UTF-8")
		return nil
	case nesting(d.source) > maxNesting:
		d.fault(d.first, "", fmt.Sprintf("opens more than %d brackets inside each other", maxNesting), "close them")
		return nil
	}
	if n := longestLine(d.source); n > maxLineBytes {
		d.fault(d.first, "", fmt.Sprintf("has a line of %d bytes, at most %d are taken", n, maxLineBytes), "break the line")
		return nil
	}
	f, err := parser.ParseBytes(d.source, 0)
	if err != nil {
		line, what := d.first, err.Error()
		var at yaml.Error
		if errors.As(err, &at) {
			what = at.GetMessage()
			if t := at.GetToken(); t != nil && t.Position != nil {
				line += t.Position.Line - 1
			}
		}
		d.fault(line, "", "is no YAML: "+strings.Join(strings.Fields(what), " "), "mend the line")
		return nil
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		d.fault(d.first, "", "is not one YAML document", "put --- between documents, and nothing else")
		return nil
	}
	return f.Docs[0].Body
}

func longestLine(source []byte) int {
	longest := 0
	for l := range bytes.Lines(source) {
		longest = max(longest, len(l))
	}
	return longest
}

// nesting is the most brackets that are open at once, counted without regard to quotes.
func nesting(source []byte) int {
	open, most := 0, 0
	for _, b := range source {
		switch b {
		case '[', '{':
			open++
			most = max(most, open)
		case ']', '}':
			open = max(0, open-1)
		}
	}
	return most
}
