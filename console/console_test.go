package console

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandlerServesItsThreeFilesAndNothingElse(t *testing.T) {
	for path, kind := range map[string]string{
		"/":            "text/html; charset=utf-8",
		"/dwell.js":    "text/javascript; charset=utf-8",
		"/favicon.svg": "image/svg+xml",
	} {
		r := get(t, "GET", path)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %s, want 200 %s", path, r.StatusCode, r.Header.Get("Content-Type"), kind)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Cache-Control") == "" {
			t.Errorf("%s: headers %v", path, r.Header)
		}
		if body(t, r.Body) == "" {
			t.Errorf("%s: empty", path)
		}
	}
	for _, path := range []string{"/index.html", "/demo.html", "/dist/dwell.js", "/dwell.js/", "/v1/track", "/../console.go", "/%2e%2e/go.mod"} {
		if r := get(t, "GET", path); r.StatusCode != 404 {
			t.Errorf("%s: %d, want 404", path, r.StatusCode)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if r := get(t, method, "/"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s /: %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

func TestGzipIsSentToWhoTakesIt(t *testing.T) {
	plain := body(t, get(t, "GET", "/dwell.js").Body)
	for accept, takes := range map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "deflate, *": true, "gzip; q=1.0, identity": true,
		"": false, "br": false, "gzip;q=0": false, "gzip;q=0.0, *": false, "*;q=0": false, "gzipped": false,
	} {
		r := get(t, "GET", "/dwell.js", "Accept-Encoding", accept)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != takes {
			t.Errorf("Accept-Encoding %q: gzip %v, want %v", accept, got, takes)
			continue
		}
		if r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: Vary %q", accept, r.Header.Get("Vary"))
		}
		if !takes {
			continue
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if body(t, z) != plain {
			t.Errorf("Accept-Encoding %q: another script than the plain one", accept)
		}
	}
}

func TestETagSparesASecondLoad(t *testing.T) {
	for _, accept := range []string{"", "gzip"} {
		first := get(t, "GET", "/dwell.js", "Accept-Encoding", accept)
		tag := first.Header.Get("ETag")
		for _, held := range []string{tag, "W/" + tag, `"old", ` + tag, "*"} {
			r := get(t, "GET", "/dwell.js", "Accept-Encoding", accept, "If-None-Match", held)
			if r.StatusCode != 304 || body(t, r.Body) != "" || r.Header.Get("ETag") != tag {
				t.Errorf("If-None-Match %s: %d with ETag %s, want an empty 304 with %s", held, r.StatusCode, r.Header.Get("ETag"), tag)
			}
		}
		if r := get(t, "GET", "/dwell.js", "Accept-Encoding", accept, "If-None-Match", `"old"`); r.StatusCode != 200 {
			t.Errorf("another ETag: %d, want 200", r.StatusCode)
		}
	}
	if a, b := get(t, "GET", "/"), get(t, "GET", "/", "Accept-Encoding", "gzip"); a.Header.Get("ETag") == b.Header.Get("ETag") {
		t.Error("both forms have one strong ETag")
	}
}

func TestHeadHasTheLengthAndNoBody(t *testing.T) {
	full := get(t, "GET", "/")
	head := get(t, "HEAD", "/")
	if head.StatusCode != 200 || body(t, head.Body) != "" || head.Header.Get("Content-Length") != full.Header.Get("Content-Length") {
		t.Errorf("HEAD /: %d, length %s of %s", head.StatusCode, head.Header.Get("Content-Length"), full.Header.Get("Content-Length"))
	}
}

func TestDemoPolicyAllowsItsOwnBlocksOnly(t *testing.T) {
	r := get(t, "GET", "/")
	html, csp := body(t, r.Body), r.Header.Get("Content-Security-Policy")
	for _, tag := range []string{"script", "style"} {
		m := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(html, -1)
		if len(m) != 1 {
			t.Fatalf("%d inline blocks of %s, want 1", len(m), tag)
		}
		sum := sha256.Sum256([]byte(m[0][1]))
		if hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(csp, hash) {
			t.Errorf("no %s for %s in %s", hash, tag, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("policy %s", csp)
	}
	if strings.Contains(html, ` style="`) || regexp.MustCompile(` on[a-z]+="`).MatchString(html) {
		t.Error("the page has inline styles or handlers, which its policy forbids")
	}
}

func TestTagMayBeLoadedByAnySite(t *testing.T) {
	h := get(t, "GET", "/dwell.js").Header
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
		t.Errorf("headers %v", h)
	}
}
