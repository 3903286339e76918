package campaign

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/gate"
)

// Limits of a popup's texts, in bytes.
const (
	maxTitleBytes  = 200
	maxBodyBytes   = 2000
	maxButtonBytes = 80
	maxLinkBytes   = 2048
)

// popup is what a popup shows; the payload of its action.
type popup struct {
	Title   string `json:"title,omitempty"`
	Body    string `json:"body,omitempty"`
	Button  string `json:"button,omitempty"`
	Link    string `json:"link,omitempty"`
	Content string `json:"content,omitempty"`
}

// popupFields are what a popup and its variants are made of.
var popupFields = []string{"content", "title", "body", "button", "link"}

// channels reads the list of channels, with what the variants of an experiment, nil for none, show.
func (o *object) channels(e *gate.Experiment) []Channel {
	if !o.need("channels", "write [{type: popup, content: NAME}]") {
		return nil
	}
	list := o.objects("channels", append([]string{"type", "variants"}, popupFields...))
	var all []Channel
	for _, c := range list {
		if c.need("type", "write type: popup") {
			c.choice("type", []string{"popup"}, []string{"push", "webhook", "email", "topic"})
		}
		c.need("content", "name what is shown, such as content: popup/boost50")
		own := c.popup(popup{})
		all = append(all, Channel{Type: "popup", Content: own.Content, Payload: c.payload(own), Variants: c.variants(own, e)})
	}
	switch {
	case len(list) > 1:
		o.fault("channels", "not supported yet: several channels", "leave one")
	case len(list) == 0:
		o.fault("channels", "is empty", "write [{type: popup, content: NAME}]")
	}
	return all
}

// variants reads {NAME: {content, title, ...}}: what differs from the channel's own.
func (o *object) variants(own popup, e *gate.Experiment) []VariantContent {
	if !o.has("variants") {
		return nil
	}
	if e == nil || len(e.Variants) == 0 {
		o.fault("variants", "the experiment has no variants", "write experiment: {variants: [{name: NAME, weight: 100}]}, or take it out")
		return nil
	}
	var names []string
	for _, v := range e.Variants {
		names = append(names, v.Name)
	}
	list := o.object("variants", names, nil)
	var all []VariantContent
	for i, name := range names {
		if list.has(name) && !slices.Contains(names[:i], name) {
			v := list.object(name, popupFields, nil)
			p := v.popup(own)
			all = append(all, VariantContent{Name: name, Content: p.Content, Payload: v.payload(p)})
		}
	}
	return all
}

// popup reads what is there over what another one has.
func (o *object) popup(p popup) popup {
	read := func(dst *string, field string, limit int) {
		if o.has(field) {
			*dst = o.text(field, limit)
		}
	}
	read(&p.Title, "title", maxTitleBytes)
	read(&p.Body, "body", maxBodyBytes)
	read(&p.Button, "button", maxButtonBytes)
	read(&p.Link, "link", maxLinkBytes)
	if o.has("content") {
		p.Content = o.word("content", maxNameBytes, "name what is shown, such as content: popup/boost50")
	}
	if what := linkFault(p.Link); what != "" && o.has("link") {
		o.fault("link", what, "write http://…, https://… or a path on the same site, such as /offers")
	}
	return p
}

func (o *object) payload(p popup) []byte {
	b, err := json.Marshal(p)
	if err != nil {
		o.fault("content", fmt.Sprintf("does not become JSON: %v", err), "use plain text")
	}
	return b
}

// linkFault says what is wrong with a link; empty: nothing. A link leads to a web page, on another
// site only when it says so: browsers read a backslash as a slash and skip tabs and line ends.
func linkFault(link string) string {
	for _, r := range link {
		if r <= ' ' || r == 0x7f || r == '\\' {
			return "a link holds no space, backslash or control character"
		}
	}
	if strings.HasPrefix(link, "//") {
		return "a link that starts with // leads to another site"
	}
	head, _, _ := strings.Cut(link, "/")
	head, _, _ = strings.Cut(head, "?")
	head, _, _ = strings.Cut(head, "#")
	scheme, _, absolute := strings.Cut(head, ":")
	if !absolute {
		return ""
	}
	low := strings.ToLower(scheme)
	rest, ok := strings.CutPrefix(link[len(scheme):], "://")
	if low != "http" && low != "https" {
		return fmt.Sprintf("a link of scheme %q is not taken", scheme)
	}
	if host := strings.TrimLeft(rest, "/"); !ok || host == "" || host != rest || strings.IndexByte("?#", host[0]) >= 0 {
		return "the link names no host"
	}
	return ""
}
