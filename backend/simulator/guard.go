package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// maxBody bounds every request body. The largest honest one is a token
// request with a client assertion, a few kilobytes.
const maxBody = 1 << 20

// maxQuery bounds the query string, since an authorization request is kept while its pages are open.
const maxQuery = 16 << 10

// guard is what every request passes: the Host check, limits, the headers
// that keep a page to itself, the log, and the end of a panic.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := &logEntry{Request: Request{At: s.now().UTC(), Method: r.Method, Path: clip(r.URL.Path, 300), Query: redactQuery(r)}}
		rec := &recorder{ResponseWriter: w, entry: entry}
		r = r.WithContext(context.WithValue(r.Context(), logKey{}, entry))
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					s.log.add(entry, s.now())
					panic(p)
				}
				entry.Verdict = fmt.Sprintf("the simulator itself failed: %v", p)
				if !rec.wrote {
					http.Error(rec, "The simulator failed while answering. Its request log says why.", http.StatusInternalServerError)
				}
			}
			s.log.add(entry, s.now())
		}()

		h := rec.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", pagePolicy(""))
		if !s.knownHost(r.Host) {
			judge(r, "refused: the Host header is %q, which is not this server (DNS rebinding)", clip(r.Host, 100))
			http.Error(rec, "This server answers only under its own name on this computer: "+s.Origin(), http.StatusMisdirectedRequest)
			return
		}
		if len(r.URL.RawQuery) > maxQuery {
			judge(r, "refused: the query string has more than %d bytes", maxQuery)
			http.Error(rec, "The query string is too long.", http.StatusRequestURITooLong)
			return
		}
		if s.cors(rec, r) {
			return
		}
		r.Body = http.MaxBytesReader(rec, r.Body, maxBody)
		next.ServeHTTP(rec, r)
		if entry.Verdict == "" && entry.Status >= http.StatusBadRequest {
			judge(r, "there is no such page")
			if entry.Status == http.StatusMethodNotAllowed {
				judge(r, "the path does not take %s", clip(r.Method, 20))
			}
		}
	})
}

// knownHost tells whether a Host header is one of this server's names. A page
// on the web can make a browser send requests here under a name of its own
// that resolves to 127.0.0.1; its name gives it away.
func (s *Server) knownHost(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	s.mu.RLock()
	mine := strconv.Itoa(s.port)
	s.mu.RUnlock()
	return port == mine && (strings.EqualFold(name, "localhost") || name == "127.0.0.1" || name == "::1" || name == s.host)
}

// recorder keeps the status for the log.
type recorder struct {
	http.ResponseWriter
	entry *logEntry
	wrote bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.wrote = true
		r.entry.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if !r.wrote {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// clip shortens what came from outside before it is kept or shown.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
