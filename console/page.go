package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// page is one file, ready to be sent in either form. A form has its own ETag, as strong ones must.
type page struct {
	header        map[string]string
	plain, zipped []byte
	plainTag      string
	zippedTag     string
}

func newPage(plain []byte, header map[string]string) *page {
	sum := sha256.Sum256(plain)
	tag := hex.EncodeToString(sum[:8])
	return &page{
		header: header,
		plain:  plain, plainTag: `"` + tag + `"`,
		zipped: compress(plain), zippedTag: `"` + tag + `-gzip"`,
	}
}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(plain)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("console: compress a page: %v", err)) // memory takes everything
	}
	return b.Bytes()
}

func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, value := range p.header {
		h.Set(name, value)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept-Encoding")
	body, tag := p.plain, p.plainTag
	zipped := takesGzip(r.Header.Values("Accept-Encoding"))
	if zipped {
		body, tag = p.zipped, p.zippedTag
	}
	h.Set("ETag", tag)
	if held := r.Header.Get("If-None-Match"); held == "*" || strings.Contains(held, tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that left is no fault of ours
	}
}

// takesGzip reads Accept-Encoding: gzip is taken when it, or else *, is named with a weight above 0.
func takesGzip(accept []string) bool {
	others := false
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		coding, params, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(item, " ", "")), ";")
		weight, err := strconv.ParseFloat(strings.TrimPrefix(params, "q="), 64)
		takes := params == "" || err == nil && weight > 0
		switch coding {
		case "gzip":
			return takes
		case "*":
			others = takes
		}
	}
	return others
}

// policy allows an HTML page its own inline blocks, by their hashes, the tag and calls to its own
// origin, and nothing else.
func policy(html []byte) string {
	return "default-src 'none'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; script-src 'self'" + hashes(html, "script") + "; style-src" + hashes(html, "style")
}

// hashes names every inline block of the tag in the form of a content security policy.
func hashes(html []byte, tag string) string {
	var b strings.Builder
	for _, m := range regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllSubmatch(html, -1) {
		sum := sha256.Sum256(m[1])
		b.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	return b.String()
}
