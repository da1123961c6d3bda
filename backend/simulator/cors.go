package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// publicPaths may be read by any page, as nothing in them is anyone's.
var publicPaths = []string{
	"/fhir/.well-known/smart-configuration", "/fhir/metadata", "/auth/.well-known/openid-configuration", "/auth/jwks",
	"/smart-style.json", "/smart-style-dark.json", "/brands.json",
}

// sharedPath tells whether apps that run in a browser may use a path: the
// token and revocation endpoints and everything of FHIR (SMART App Launch 2.2,
// "Support for CORS").
func sharedPath(path string) bool {
	return path == "/auth/token" || path == "/auth/revoke" || path == "/fhir" || strings.HasPrefix(path, "/fhir/")
}

const (
	corsMethods = "GET, HEAD, POST"
	corsRequest = "Accept, Authorization, Content-Type, Epic-Client-ID, If-None-Match, Prefer, X-Requested-With"
	corsAnswer  = "ETag, Location, Retry-After, WWW-Authenticate"
)

// cors lets pages of other origins read an answer, without cookies: any page
// what is public, and those of registered apps the rest. It answers a
// browser's question beforehand (preflight) itself and tells that it did.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	public := slices.Contains(publicPaths, r.URL.Path)
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if origin == "" || (!public && !sharedPath(r.URL.Path)) {
		return false
	}
	h := w.Header()
	if !public {
		h.Add("Vary", "Origin")
	}
	if !public && !s.clients.hasOrigin(origin) {
		if preflight {
			judge(r, "refused: no registered app has the origin %s (CORS)", clip(origin, 100))
			w.WriteHeader(http.StatusForbidden)
		}
		return preflight
	}
	h.Set("Access-Control-Allow-Origin", "*")
	if !public {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	h.Set("Access-Control-Expose-Headers", corsAnswer)
	if !preflight {
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsRequest)
	h.Set("Access-Control-Max-Age", "600")
	judge(r, "a browser asked whether a page of %s may send this (CORS): yes", clip(origin, 100))
	w.WriteHeader(http.StatusNoContent)
	return true
}

// hasOrigin tells whether a registered app has pages at this origin.
func (b *clientBook) hasOrigin(origin string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range b.list {
		for _, raw := range append(slices.Clone(c.RedirectURIs), c.LaunchURL) {
			u, err := url.Parse(raw)
			if err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Scheme+"://"+u.Host, origin) {
				return true
			}
		}
	}
	return false
}
