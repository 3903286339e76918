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

// File is what a file declares, in its order.
type File struct {
	Campaigns []*Campaign
	Audiences []*Audience
	Traits    []*Trait
}

// Parse reads every campaign of a file that holds nothing else; file is its name, for messages. On an
// error, which joins one Fault for each thing that is wrong, it returns no campaign.
func Parse(file string, source []byte) ([]*Campaign, error) {
	f, err := ParseFile(file, source)
	if err != nil {
		return nil, err
	}
	if len(f.Campaigns) == 0 || len(f.Audiences)+len(f.Traits) > 0 {
		return nil, &Fault{file, 1, "kind", "holds other things than campaigns", "write kind: Campaign"}
	}
	return f.Campaigns, nil
}

// ParseFile reads everything that a file declares; file is its name, for messages. On an error, which
// joins one Fault for each thing that is wrong, it returns nothing.
func ParseFile(file string, source []byte) (found *File, err error) {
	defer func() {
		if r := recover(); r != nil { // of the YAML or CEL library: one bad file must not stop a worker
			found, err = nil, &Fault{file, 1, "", fmt.Sprintf("could not be read: %v", r), "report it with the file"}
		}
	}()
	if len(source) > MaxFileBytes {
		return nil, &Fault{file, 1, "", fmt.Sprintf("has %d bytes, at most %d are taken", len(source), MaxFileBytes), "split the file"}
	}
	var faults []error
	all, lines := &File{}, map[string]int{}
	for _, d := range split(file, source) {
		kind, name := all.add(d.parse())
		if name != "" {
			if first, twice := lines[kind+"/"+name]; twice {
				d.fault(d.first, "metadata.name", fmt.Sprintf("%q is also the name of the %s at line %d", name, kind, first), "give each "+kind+" its own name")
			}
			lines[kind+"/"+name] = d.first
		}
		slices.SortStableFunc(d.faults, func(a, b *Fault) int { return a.Line - b.Line })
		for _, f := range d.faults {
			faults = append(faults, f)
		}
	}
	if len(lines) == 0 && len(faults) == 0 {
		faults = append(faults, &Fault{file, 1, "", "holds no campaign", "write a document with kind: Campaign"})
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return all, nil
}

// add takes what a document declares and says what it is; nil is nothing.
func (f *File) add(declared any) (kind, name string) {
	switch c := declared.(type) {
	case *Campaign:
		f.Campaigns = append(f.Campaigns, c)
		return "campaign", c.Name
	case *Audience:
		f.Audiences = append(f.Audiences, c)
		return "audience", c.Name
	case *Trait:
		f.Traits = append(f.Traits, c)
		return "trait", c.Name
	}
	return "", ""
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

// parse returns what the document declares, nil when a fault was noted.
func (d *document) parse() any {
	body := d.body()
	if len(d.faults) > 0 {
		return nil
	}
	declared := d.read(body)
	if len(d.faults) > 0 {
		return nil
	}
	sum := sha256.Sum256(d.source)
	version := hex.EncodeToString(sum[:6])
	switch c := declared.(type) {
	case *Campaign:
		c.Version = version
		c.PatternHash = c.Trigger.hash()
		c.Source, c.File, c.Line = d.source, d.file, d.first
	case *Audience:
		c.Origin = Origin{version, d.source, d.file, d.first}
	case *Trait:
		c.Origin = Origin{version, d.source, d.file, d.first}
	}
	return declared
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

// Fault is one thing wrong with a campaign file. Parse joins all of them.
type Fault struct {
	File string
	// Line counts from 1; 0 for a campaign that was built in Go.
	Line int
	// Path is the field, e.g. spec.trigger.pattern.count.times; empty: the document.
	Path string
	// What is wrong, and what to Do about it.
	What, Do string
}

// Error is "file:line: path: what; what to do".
func (f *Fault) Error() string {
	path := f.Path
	if path == "" {
		path = "document"
	}
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s: %s; %s", at, path, f.What, f.Do)
}

// closest says which of the known words was probably meant, else lists them.
func closest(word string, known []string) string {
	best, least := "", 2+min(1, len(word)/4) // one slip, two in a longer word
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "write " + oneOf(known)
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return "one of " + strings.Join(words, ", ")
}

// distance counts the letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
