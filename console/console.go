// Package console serves what dwell shows in a browser: the tag that pages include (/dwell.js), a
// demo page that uses it (/), and an icon. Nothing enters it; all files are part of the program.
package console

//go:generate go run ./bundle .

import (
	"embed"
	"net/http"
)

//go:embed dist demo.html favicon.svg
var files embed.FS

// Handler serves GET and HEAD of /, /dwell.js and /favicon.svg; any other path is 404 and any other
// method 405. Files carry a strong ETag, are compressed once, and are sent gzipped to whoever takes
// it. The handler holds no state and is safe for concurrent use.
func Handler() http.Handler {
	demo := read("demo.html")
	return serve(map[string]*page{
		"/dwell.js": tag(),
		"/": newPage(demo, map[string]string{
			"Content-Type":               "text/html; charset=utf-8",
			"Cache-Control":              "no-cache",
			"Content-Security-Policy":    policy(demo),
			"Cross-Origin-Opener-Policy": "same-origin",
			"Permissions-Policy":         "camera=(), geolocation=(), microphone=()",
			"Referrer-Policy":            "strict-origin-when-cross-origin",
			"X-Frame-Options":            "DENY",
		}),
		"/favicon.svg": newPage(read("favicon.svg"), map[string]string{
			"Content-Type":            "image/svg+xml",
			"Cache-Control":           "public, max-age=86400",
			"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
		}),
	})
}

// Tag serves /dwell.js as Handler does, and nothing else: for a gateway without the demo.
func Tag() http.Handler { return serve(map[string]*page{"/dwell.js": tag()}) }

// tag may be loaded by any site; five minutes bound how long an old one stays around.
func tag() *page {
	return newPage(read("dist/dwell.js"), map[string]string{
		"Content-Type":                 "text/javascript; charset=utf-8",
		"Cache-Control":                "public, max-age=300",
		"Access-Control-Allow-Origin":  "*",
		"Cross-Origin-Resource-Policy": "cross-origin",
	})
}

func serve(pages map[string]*page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := pages[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		default:
			p.serve(w, r)
		}
	})
}

// read returns an embedded file; one that is missing cannot have been built.
func read(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("console: " + err.Error())
	}
	return b
}
