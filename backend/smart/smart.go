// Package smart is the SMART App Launch client protocol: discovery, the
// authorization request and its callback, code exchange, refresh, client
// authentication and the keys for it, the id_token, introspection, revocation,
// tokens for backend services, and the registration of apps and of their copies.
// Values go in and values come out. It keeps nothing: it knows no disk, no window
// and no registration, and the caller owns one-use states, storage of tokens and
// keys, and the decision when to refresh.
//
// A sign-in is Discover, Authorization, CheckCallback, Exchange; a life
// afterwards is Refresh and, at its end, Revoke. A backend service has
// ClientCredentials in their place, and a registered copy of an app
// RegisterInstance once and JWTBearer from then on. Source: SMART App Launch
// 2.2.0 and the RFCs named at each function.
package smart

import (
	"net/http"
	"sync"
	"time"

	"chartkey/backend/network"
)

// The deadlines of the outside calls. A context with an earlier one wins.
const (
	discoveryTimeout = 15 * time.Second
	// tokenTimeout is longer: giving up on a token answer may lose a one-use
	// code or a rotated refresh token.
	tokenTimeout = 30 * time.Second
	keysTimeout  = 15 * time.Second
)

// The largest answers that are read. Epic's CapabilityStatement is about half
// a megabyte; tokens of 64 KB are seen in the field.
const (
	discoveryLimit = 1 << 20
	metadataLimit  = 4 << 20
	tokenLimit     = 1 << 20
	keysLimit      = 1 << 20
)

// Client speaks the protocol. The zero value works. It must not be copied.
type Client struct {
	// HTTP carries the requests; nil means a hardened client of its own. Its
	// transport, timeout and cookie jar are used, its redirect policy is not:
	// this package has its own.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	once sync.Once
	own  *http.Client
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// http gives a copy of the client with the given redirect policy.
func (c *Client) http(redirects func(*http.Request, []*http.Request) error) *http.Client {
	c.once.Do(func() {
		c.own = c.HTTP
		if c.own == nil {
			c.own = network.NewClient()
		}
	})
	h := *c.own
	h.CheckRedirect = redirects
	return &h
}

// transport gives what carries the client's requests.
func transport(h *http.Client) http.RoundTripper {
	if h.Transport != nil {
		return h.Transport
	}
	return http.DefaultTransport
}
