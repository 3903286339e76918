package channels

import (
	"strings"
	"testing"

	"github.com/dwellhq/dwell/schemas"
)

func TestOnlyAllowedNodesAreCalled(t *testing.T) {
	listed := []string{"10.0.0.0/8", "fd00::/8", "gateway-0", ".gateway.svc.cluster.local"}
	for _, c := range []struct {
		base   string
		listed bool // allowed by the list above
		bare   bool // allowed without a list
	}{
		{"http://127.0.0.1:8081", false, true},
		{"http://[::1]:8081", false, true},
		{"http://127.8.9.10:1", false, true},
		{"http://[::ffff:127.0.0.1]:80", false, true},
		{"http://localhost:8081", false, true},
		{"http://localhost.evil.example", false, false},
		{"http://gw:8081", false, false}, // a name may resolve to anything
		{"http://10.1.2.3:8081", true, false},
		{"https://10.1.2.3:8081/", true, false},
		{"http://[fd12::1]:8081", true, false},
		{"http://11.0.0.1:8081", false, false},
		{"http://169.254.169.254/", false, false},
		{"http://gateway-0:8081", true, false},
		{"http://GATEWAY-0:8081", true, false},
		{"http://gateway-0.evil.example:8081", false, false},
		{"http://a.gateway.svc.cluster.local", true, false},
		{"http://.gateway.svc.cluster.local", false, false},
		{"http://evilgateway.svc.cluster.local", false, false},
		{"http://10.1.2.3:8081/path", false, false},
		{"http://10.1.2.3:8081?x=1", false, false},
		{"http://10.1.2.3:8081?", false, false},
		{"http://10.1.2.3:8081#f", false, false},
		{"http://user:pass@10.1.2.3:8081", false, false},
		{"http://10.1.2.3@evil.example", false, false},
		{"file:///etc/passwd", false, false},
		{"http:10.1.2.3", false, false},
		{"ftp://10.1.2.3", false, false},
		{"10.1.2.3:8081", false, false},
		{"http://10.1.2.3.evil.example", false, false},
		{"http://[fe80::1%25eth0]:80", false, false},
		{"http://", false, false},
		{"", false, false},
		{"http://10.1.2.3:80:80", false, false},
	} {
		nodes, err := ParseNodes(listed)
		if err != nil {
			t.Fatal(err)
		}
		if got := nodes.Check(c.base) == nil; got != c.listed {
			t.Errorf("%q with a list: allowed = %v (%v)", c.base, got, nodes.Check(c.base))
		}
		if got := (Nodes{}).Check(c.base) == nil; got != c.bare {
			t.Errorf("%q without a list: allowed = %v", c.base, got)
		}
	}
}

func TestFaultyNodeEntriesAreAllNamed(t *testing.T) {
	_, err := ParseNodes([]string{"http://gw-1", "10.0.0.0/99", "gw:8081", "", ".", "*.example.com", "fine"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"http://gw-1", "10.0.0.0/99", "gw:8081", `""`, `"."`, "*.example.com"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "fine") {
		t.Errorf("a good entry is named: %v", err)
	}
}

func TestPresenceFollowsTheNewestRecord(t *testing.T) {
	p := NewPresences(Nodes{})
	demand := func(key, want string) {
		t.Helper()
		if got, ok := p.Node(key); got != want || ok != (want != "") {
			t.Errorf("Node(%s) = %q %v, want %q", key, got, ok, want)
		}
	}
	set := func(key, node string) error { return p.Set(key, &schemas.Presence{Node: node}) }
	if err := set("t/ann", "http://127.0.0.1:1/"); err != nil {
		t.Fatal(err)
	}
	demand("t/ann", "http://127.0.0.1:1")
	demand("u/ann", "")
	if err := set("t/ann", "http://127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	demand("t/ann", "http://127.0.0.1:2")
	if err := set("t/ann", "http://evil.example"); err == nil || !strings.Contains(err.Error(), "t/ann") {
		t.Errorf("a foreign node: %v", err)
	}
	demand("t/ann", "") // she is no longer where she was
	if err := set("t/ann", "http://127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	if p.Len() != 1 {
		t.Errorf("Len = %d", p.Len())
	}
	p.Delete("t/ann")
	p.Delete("t/ann")
	demand("t/ann", "")
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"http://127.0.0.1:1", "http://gw", "http://127.0.0.1@evil", "http://[::1]", "http://a.ok.example:80/"} {
		f.Add(s)
	}
	nodes, err := ParseNodes([]string{"127.0.0.0/8", ".ok.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, base string) {
		if nodes.Check(base) != nil {
			return
		}
		// What is allowed starts with a scheme and an allowed host, whatever a URL parser says.
		rest, ok := strings.CutPrefix(strings.ToLower(base), "http://")
		if !ok {
			rest, ok = strings.CutPrefix(strings.ToLower(base), "https://")
		}
		host, _, _ := strings.Cut(strings.TrimRight(rest, "/"), ":")
		if !ok || !strings.HasPrefix(host, "127.") && !strings.HasPrefix(rest, "[::ffff:") && !strings.HasSuffix(host, ".ok.example") {
			t.Errorf("%q is allowed", base)
		}
	})
}
