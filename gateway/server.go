package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/dwellhq/dwell/gateway/push"
)

// maxHeaderBytes bounds a request's line and headers.
const maxHeaderBytes = 16 << 10

func (g *Gateway) servers() (public, internal *http.Server) {
	make := func(h http.Handler) *http.Server {
		return &http.Server{
			Handler: h, ReadHeaderTimeout: g.cfg.HeaderTimeout, ReadTimeout: g.cfg.ReadTimeout, IdleTimeout: g.cfg.IdleTimeout,
			// Beyond reading the request and waiting for Kafka, an answer takes no time of its own; a
			// push command may wait for half a minute. A WebSocket sheds these deadlines.
			WriteTimeout: g.cfg.ReadTimeout + max(g.cfg.AckTimeout, push.MaxWait) + g.cfg.HeaderTimeout, MaxHeaderBytes: maxHeaderBytes,
			ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		}
	}
	return make(g.routes()), make(g.hub.Node(g.cfg.InternalSecret))
}

func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// shutdown waits for open requests; those that ctx does not leave time for are cut off.
func shutdown(ctx context.Context, s *http.Server) error {
	if err := s.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("end open requests: %w", err), s.Close())
	}
	return nil
}
