package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/gateway/ingest"
)

// handler answers a request, or returns why not, at best a *answer.Fault.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes is the public API; everything else is for the pages.
func (g *Gateway) routes() http.Handler {
	mux := http.NewServeMux()
	for _, kind := range ingest.Kinds() {
		mux.Handle("/v1/"+kind, g.api(kind, http.MethodPost, g.takeCalls(kind)))
	}
	mux.Handle("/v1/frames", g.api("frames", http.MethodPost, g.takeFrames))
	mux.Handle("/v1/token", g.api("token", http.MethodPost, g.mintToken))
	mux.Handle("/v1/push", g.api("push", http.MethodGet, g.openPush))
	mux.HandleFunc("/v1/", g.nothing)
	mux.Handle("/", g.pages)
	return mux
}

func (g *Gateway) nothing(w http.ResponseWriter, r *http.Request) {
	answer.Refuse(w, g.now(), &answer.Fault{Status: http.StatusNotFound, Where: "path", What: "nothing is here", Do: "POST to /v1/track, identify, page, screen, group, alias, batch, frames or token; GET /v1/push."})
}

// api is what all routes share: origins, the method, a bound on requests, metrics, refusals.
func (g *Gateway) api(route, method string, h handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w, began := &recorder{ResponseWriter: rw, code: http.StatusOK}, time.Now()
		defer func() { g.metrics.answered(route, w.code, time.Since(began)) }()
		g.share(w, r)
		if r.Method == http.MethodOptions {
			g.preflight(w, r, method)
			return
		}
		defer g.running.Add(-1)
		err := error(nil)
		switch {
		case g.running.Add(1) > int64(g.cfg.MaxRequests):
			err = answer.Busy("too many requests at once", g.cfg.RetryAfter)
		case r.Method != method:
			w.Header().Set("Allow", method+", OPTIONS")
			err = &answer.Fault{Status: http.StatusMethodNotAllowed, Where: "method", What: r.Method + " is not taken", Do: "Use " + method + "."}
		default:
			err = h(w, r)
		}
		if err != nil {
			g.refuse(w, route, err)
		}
	})
}

func (g *Gateway) refuse(w http.ResponseWriter, route string, err error) {
	f := answer.Of(err)
	if f.Status == http.StatusInternalServerError {
		g.log.Error("a request failed", "route", route, "err", err)
	}
	g.metrics.reject(route, f)
	answer.Refuse(w, g.now(), f)
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Hijack implements http.Hijacker, for WebSockets.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, b, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	r.code = http.StatusSwitchingProtocols
	return c, b, nil
}
