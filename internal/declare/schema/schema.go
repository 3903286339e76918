// Package schema makes the JSON schemas of campaign, audience and trait files, for editors. It asks the parser itself: it
// gives it documents and reads from the faults which fields there are, of which kind and within which
// bounds. So the schema says what this program takes, and nothing has to be kept in step by hand.
package schema

import (
	"maps"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/campaign"
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
func Campaign() (*Node, error) { return of(campaign.CampaignKind) }

// Audience is Campaign for an audience document.
func Audience() (*Node, error) { return of(campaign.AudienceKind) }

// Trait is Campaign for a trait document.
func Trait() (*Node, error) { return of(campaign.TraitKind) }

// of is the schema of a kind. All kinds are one word to the parser; a schema takes its own.
func of(kind string) (*Node, error) {
	n, err := newProber(kind).document()
	if err != nil {
		return nil, err
	}
	n.Properties["kind"].Enum = []any{kind}
	n.Schema, n.Title = "https://json-schema.org/draft/2020-12/schema", "dwell "+strings.ToLower(kind)
	return n, nil
}

// Fields are the names of an object's fields, sorted.
func (n *Node) Fields() []string { return slices.Sorted(maps.Keys(n.Properties)) }
