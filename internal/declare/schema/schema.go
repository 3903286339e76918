// Package schema makes the JSON schema of campaign files, for editors. It asks the parser itself: it
// gives it documents and reads from the faults which fields there are, of which kind and within which
// bounds. So the schema says what this program takes, and nothing has to be kept in step by hand.
package schema

import (
	"maps"
	"slices"
)

// Node is a JSON schema (draft 2020-12), as far as campaign files need it.
type Node struct {
	Schema string `json:"$schema,omitempty"`
	Title  string `json:"title,omitempty"`
	// Ref leads to a node that holds this one: patterns may contain patterns.
	Ref         string           `json:"$ref,omitempty"`
	Anchor      string           `json:"$anchor,omitempty"`
	Description string           `json:"description,omitempty"`
	Type        string           `json:"type,omitempty"`
	Enum        []any            `json:"enum,omitempty"`
	Pattern     string           `json:"pattern,omitempty"`
	Minimum     *int64           `json:"minimum,omitempty"`
	Maximum     *int64           `json:"maximum,omitempty"`
	Properties  map[string]*Node `json:"properties,omitempty"`
	// Additional is false for an object whose fields are all named.
	Additional *bool    `json:"additionalProperties,omitempty"`
	Required   []string `json:"required,omitempty"`
	Items      *Node    `json:"items,omitempty"`
	AnyOf      []*Node  `json:"anyOf,omitempty"`
}

// Campaign is the schema of a campaign document. An error says that the parser's answers made no
// sense: then it has changed in a way that this package does not know.
func Campaign() (*Node, error) {
	n, err := newProber().document()
	if err != nil {
		return nil, err
	}
	n.Schema, n.Title = "https://json-schema.org/draft/2020-12/schema", "dwell campaign"
	return n, nil
}

// Fields are the names of an object's fields, sorted.
func (n *Node) Fields() []string { return slices.Sorted(maps.Keys(n.Properties)) }
