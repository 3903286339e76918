package campaign

import (
	"encoding/json"
	"fmt"
	"strings"
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

// channels reads the list of channels.
func (o *object) channels() []Channel {
	if !o.need("channels", "write [{type: popup, content: NAME}]") {
		return nil
	}
	list := o.objects("channels", []string{"type", "content", "title", "body", "button", "link"})
	var all []Channel
	for _, c := range list {
		if c.need("type", "write type: popup") {
			c.choice("type", []string{"popup"}, []string{"push", "webhook", "email", "topic"})
		}
		all = append(all, c.popup())
	}
	switch {
	case len(list) > 1:
		o.fault("channels", "not supported yet: several channels", "leave one")
	case len(list) == 0:
		o.fault("channels", "is empty", "write [{type: popup, content: NAME}]")
	}
	return all
}

func (o *object) popup() Channel {
	p := popup{
		Title:   o.text("title", maxTitleBytes),
		Body:    o.text("body", maxBodyBytes),
		Button:  o.text("button", maxButtonBytes),
		Link:    o.text("link", maxLinkBytes),
		Content: o.word("content", maxNameBytes, "name what is shown, such as content: popup/boost50"),
	}
	if what := linkFault(p.Link); what != "" {
		o.fault("link", what, "write http://…, https://… or a path on the same site, such as /offers")
	}
	payload, err := json.Marshal(p)
	if err != nil {
		o.fault("content", fmt.Sprintf("does not become JSON: %v", err), "use plain text")
	}
	return Channel{Type: "popup", Content: p.Content, Payload: payload}
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
