package channels

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Nodes says which gateway nodes may be called. A node's address comes out of a topic, and the call
// carries the internal secret, so whoever can write to that topic could otherwise collect the
// secret, or reach into the network behind the engager. The zero value allows loopback addresses
// only.
type Nodes struct {
	nets     []netip.Prefix
	hosts    map[string]bool
	suffixes []string
}

// ParseNodes reads an allow-list. An entry is a network ("10.0.0.0/8", for nodes named by
// address), a host ("gateway-0.gateway"), or a domain with a leading dot that stands for all names
// below it (".gateway.dwell.svc.cluster.local"). A name is trusted as such: what it resolves to is
// not looked at. Prefixes of URLs are no entries: "http://gw-1" is also the start of
// http://gw-1.example.com. All faults are reported.
func ParseNodes(entries []string) (Nodes, error) {
	n := Nodes{hosts: map[string]bool{}}
	var faults []error
	for _, e := range entries {
		switch host := strings.ToLower(strings.TrimSpace(e)); {
		case strings.Contains(host, "/"):
			p, err := netip.ParsePrefix(host)
			if err != nil {
				faults = append(faults, fmt.Errorf("nodes: %q is no network; write 10.0.0.0/8, a host name, or .domain", e))
				continue
			}
			n.nets = append(n.nets, p.Masked())
		case strings.Trim(host, ".") == "" || strings.ContainsAny(host, " :@?#*"):
			faults = append(faults, fmt.Errorf("nodes: %q is no host, without scheme and port; write 10.0.0.0/8, a host name, or .domain", e))
		case host[0] == '.':
			n.suffixes = append(n.suffixes, host)
		default:
			n.hosts[host] = true
		}
	}
	return n, errors.Join(faults...)
}

// Check returns nil when base is the URL of a node that may be called: http or https, a host that is
// allowed, and neither user, path, query nor fragment.
func (n Nodes) Check(base string) error {
	u, err := url.Parse(base)
	if err != nil {
		return fmt.Errorf("node %q: %w", base, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("node %q: the scheme is neither http nor https", base)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		return fmt.Errorf("node %q: only scheme, host and port are taken", base)
	}
	if !n.allows(strings.ToLower(u.Hostname())) {
		return fmt.Errorf("node %q: the host is not among the allowed nodes; add it to --nodes (DWELL_NODES) if it is one of your gateways", base)
	}
	return nil
}

func (n Nodes) allows(host string) bool {
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	if len(n.nets) == 0 && len(n.hosts) == 0 && len(n.suffixes) == 0 {
		return host == "localhost" || addr.IsLoopback()
	}
	if err == nil {
		for _, p := range n.nets {
			if p.Contains(addr) {
				return true
			}
		}
		return n.hosts[host]
	}
	for _, s := range n.suffixes {
		if strings.HasSuffix(host, s) && len(host) > len(s) {
			return true
		}
	}
	return n.hosts[host]
}
