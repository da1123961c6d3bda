package loopback

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"chartkey/backend/fault"
)

// keySetTimeout bounds the reading of the keys behind one request.
const keySetTimeout = 5 * time.Second

// KeySetServer publishes a JWK set at one URL of this computer.
type KeySetServer struct {
	server *http.Server
	work   sync.WaitGroup
}

// ServeKeySet answers GET and HEAD at keySetURL with what read gives, a JWK set
// (RFC 7517 section 5), until Close. Public keys are no secret, so whoever is on
// this computer may read them. Faults: port-taken, and those of CheckRedirectURI.
func ServeKeySet(ctx context.Context, keySetURL string, read func(context.Context) ([]byte, error)) (*KeySetServer, error) {
	t, err := parseTarget(keySetURL, nil)
	if err != nil {
		return nil, err
	}
	listeners, err := bind(ctx, t.port)
	if err != nil {
		return nil, fault.Newf("port-taken", "End the program that holds the port; another Chartkey may publish the keys already.",
			"Port %d is taken, so no keys can be published at %s.", t.port, keySetURL).CanRetry().Because(err)
	}
	s := &KeySetServer{}
	s.server = &http.Server{
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: keySetTimeout + writeTimeout, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("X-Content-Type-Options", "nosniff")
			switch {
			case !strings.EqualFold(r.Host, t.host) || r.URL.Path != t.path:
				w.WriteHeader(http.StatusNotFound)
				return
			case r.Method != http.MethodGet && r.Method != http.MethodHead:
				h.Set("Allow", "GET, HEAD")
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), keySetTimeout)
			defer cancel()
			set, err := read(ctx)
			if err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.Set("Content-Type", "application/jwk-set+json")
			// A new key has to be seen at once by whoever looks for it.
			h.Set("Cache-Control", "no-cache")
			_, _ = w.Write(set) // a reader that has gone needs no answer
		}),
	}
	for _, listener := range listeners {
		limited := netutil.LimitListener(listener, maxConnections)
		s.work.Go(func() { _ = s.server.Serve(limited) }) // ends with an error always: that of Close
	}
	return s, nil
}

// Close stops publishing.
func (s *KeySetServer) Close() error {
	err := s.server.Close()
	s.work.Wait()
	return err
}
