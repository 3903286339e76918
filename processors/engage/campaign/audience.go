package campaign

import (
	"fmt"
	"slices"

	"github.com/dwellhq/dwell/processors/engage/predicate"
)

// The kinds of declarations, as files write them.
const (
	CampaignKind = "Campaign"
	AudienceKind = "Audience"
	TraitKind    = "Trait"
)

// Origin says which document something was declared by.
type Origin struct {
	// Version is the first 12 hex digits of SHA-256 of Source.
	Version string
	// Source is the document as written.
	Source []byte
	// File and Line say where it starts.
	File string
	Line int
}

// Audience is a named set of users: by rule or by list. It is never changed.
type Audience struct {
	// Name is unique among the tenant's audiences, of the letters of a campaign's name.
	Name string
	// List says that members are uploaded; else Where decides, over what is known of the user.
	List  bool
	Where predicate.Predicate
	Origin
}

// Admission says who may get a campaign.
type Admission struct {
	// Include: the user must be in one of these audiences; empty: no matter.
	Include []string
	// Exclude: the user must be in none of these.
	Exclude []string
	// Where must be true of the user.
	Where predicate.Predicate
	// Match and Send say when it is decided: when the pattern matches, and when the response goes out.
	Match, Send bool
}

// maxAudiences bounds the audiences of one list of a campaign.
const maxAudiences = 20

const userExample = `write a CEL condition over the user's traits, such as user.country == "GB"`

// admission reads {include, exclude, where, check}; nil when it says nothing.
func (o *object) admission() *Admission {
	a := o.object("audience", []string{"include", "exclude", "where", "check"}, nil)
	if a.void || len(a.fields) == 0 {
		return nil
	}
	const do = "write names of audiences, such as [vip]"
	adm := &Admission{
		Include: a.list("include", maxAudiences, do), Exclude: a.list("exclude", maxAudiences, do),
		Where: a.where(predicate.CompileUser, userExample), Match: true, Send: true,
	}
	if !a.refused && len(adm.Include)+len(adm.Exclude) == 0 && adm.Where.String() == "" {
		a.fault("include", "admits everybody", "write include, exclude or where, or take audience out")
	}
	for _, name := range adm.Include {
		if slices.Contains(adm.Exclude, name) {
			a.fault("exclude", fmt.Sprintf("%q is included too", name), "leave it in one of them")
		}
	}
	if a.has("check") {
		words := a.list("check", 2, "write [match, send]")
		adm.Match, adm.Send = slices.Contains(words, "match"), slices.Contains(words, "send")
		for _, w := range words {
			if w != "match" && w != "send" {
				a.fault("check", fmt.Sprintf("%q is not known", w), closest(w, []string{"match", "send"}))
			}
		}
		if len(words) == 0 {
			a.fault("check", "is never", "write [match, send], or one of them")
		}
	}
	return adm
}

// UserFields are the names of what is known of a user that the campaign reads, sorted.
func (c *Campaign) UserFields() []string {
	var all []string
	for _, s := range c.Trigger.Pattern.Steps() {
		all = append(all, s.Where.UserFields()...)
	}
	for _, m := range slices.Concat(c.Trigger.Until, c.CancelOn) {
		all = append(all, m.Where.UserFields()...)
	}
	for _, k := range c.Conversions {
		all = append(all, k.Of.Where.UserFields()...)
	}
	if c.Audience != nil {
		all = append(all, c.Audience.Where.UserFields()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// readAudience reads a document of kind Audience.
func readAudience(o *object) *Audience {
	a := &Audience{Name: o.object("metadata", []string{"name"}, nil).name("audience", "vip")}
	spec := o.object("spec", []string{"where", "list"}, nil)
	a.List = spec.flag("list")
	a.Where = spec.where(predicate.CompileUser, userExample)
	switch rule := spec.has("where") && a.Where.String() != ""; {
	case spec.refused || spec.void:
	case a.List && rule:
		spec.fault("where", "does nothing for a list", "write list: true, or where, in an audience each")
	case !a.List && !rule && !spec.has("where"):
		spec.fault("where", "missing", userExample+", or list: true")
	case !a.List && !rule && len(o.d.faults) == 0:
		spec.fault("where", "is empty", userExample+", or list: true")
	}
	return a
}

// AudienceBuilder makes an audience in Go, as Builder makes a campaign. It is a value: each method returns
// another one. Nothing is checked before Build or YAML.
type AudienceBuilder struct {
	name string
	spec fields
}

// NewAudience begins an audience; Where or List says who is in it.
func NewAudience(name string) AudienceBuilder { return AudienceBuilder{name: name} }

// Where lets the users in of whom a CEL condition is true, such as user.country == "GB".
func (b AudienceBuilder) Where(cel string) AudienceBuilder {
	b.spec = b.spec.with("where", cel)
	return b
}

// List lets the users in that dwell audience load names.
func (b AudienceBuilder) List() AudienceBuilder { b.spec = b.spec.with("list", true); return b }

var audienceCalls = []call{{"metadata.name", "NewAudience"}, {"spec.where", "Where"}, {"spec.list", "List"}}

// Build checks the audience as if it came from a file; faults are those of Builder.Build.
func (b AudienceBuilder) Build() (*Audience, error) {
	f, err := written(AudienceKind, "NewAudience", b.name, b.spec, audienceCalls)
	if err != nil {
		return nil, err
	}
	return f.Audiences[0], nil
}

// YAML is the audience's document, ready for dwell apply. The same calls give the same bytes.
func (b AudienceBuilder) YAML() ([]byte, error) {
	a, err := b.Build()
	if err != nil {
		return nil, err
	}
	return a.Source, nil
}
