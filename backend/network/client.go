// Package network is how Chartkey talks HTTPS to a health system: the hardened
// client, the way through a hospital's network (proxies, authorities of its
// own, client certificates), the limits on what is read, and the faults that
// transport problems become. It knows nothing of OAuth or FHIR, and stores
// nothing; smart and fhir share it.
package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"chartkey/backend/fault"
)

// The waits of the default client. A hospital's gateway may be slow to answer
// and is never slow to accept a connection.
const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 10 * time.Second
	// headerTimeout is longer than the deadline of any call (smart, fhir): giving
	// up on a token answer earlier may lose a one-use code.
	headerTimeout = 50 * time.Second
	idleTimeout   = 60 * time.Second
	// totalTimeout bounds a call whose context has no deadline.
	totalTimeout = 60 * time.Second
	// maxRedirects is what FollowSameOrigin allows.
	maxRedirects = 3
)

// Options are the way from this workstation to its servers. The zero value is
// that of NewClient.
type Options struct {
	// Proxy is the workstation's own setting. It wins over the environment, and
	// the environment wins over System.
	Proxy Proxy
	// Getenv reads the environment; nil is that of this process. It is read once.
	Getenv func(string) string
	// System knows the desktop's proxy settings; nil leaves them out. Clients share one.
	System *SystemProxy
	// ExtraCAs are authorities that are trusted beside the system's.
	ExtraCAs []Bundle
	// ClientCertificate is presented to a server that asks for one; nil is none.
	ClientCertificate *ClientCertificate
}

// NewClient gives the hardened client: TLS 1.2 or later (SMART's conformance
// asks for it), the proxy of the environment, a limit on each wait, no cookies
// and no redirects.
func NewClient() *http.Client {
	p := newProxyChooser(Options{})
	return newClient(p, &tls.Config{MinVersion: tls.VersionTLS12}, nil)
}

// NewClientWith gives a client that is as hardened as NewClient's and goes the
// way that o says.
//
// Faults: those of Proxy.Check, client-certificate-unusable, system-roots-unreadable.
func NewClientWith(o Options) (*http.Client, error) {
	if err := o.Proxy.Check(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.ExtraCAs) > 0 {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fault.New("system-roots-unreadable", "The system's trusted certificates cannot be read.", "Install the ca-certificates package.").Because(err)
		}
		for _, bundle := range o.ExtraCAs {
			for _, authority := range bundle.authorities {
				roots.AddCert(authority)
			}
		}
		config.RootCAs = roots
	}
	var certificate *tls.Certificate
	if o.ClientCertificate != nil {
		c, err := o.ClientCertificate.forTLS()
		if err != nil {
			return nil, err
		}
		certificate = &c
	}
	return newClient(newProxyChooser(o), config, certificate), nil
}

func newClient(p proxyChooser, config *tls.Config, certificate *tls.Certificate) *http.Client {
	config.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		attemptOf(asked.Context()).certificateAsked(certificate != nil)
		if certificate == nil {
			return &tls.Certificate{}, nil
		}
		return certificate, nil
	}
	return &http.Client{
		Transport: &transport{&http.Transport{
			Proxy:                  p.forRequest,
			OnProxyConnectResponse: proxyAnswer,
			DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    tlsTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: 256 << 10,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConnsPerHost:    4,
			ForceAttemptHTTP2:      true,
		}},
		CheckRedirect: NoRedirects,
		Timeout:       totalTimeout,
	}
}

// transport keeps, for the fault that a failure becomes, which way a request went.
type transport struct{ *http.Transport }

// RoundTrip carries one request.
func (t *transport) RoundTrip(q *http.Request) (*http.Response, error) {
	a := &attempt{}
	resp, err := t.Transport.RoundTrip(q.WithContext(context.WithValue(q.Context(), attemptKey{}, a)))
	if err != nil {
		err = a.failed(err)
	}
	return resp, err
}

// NoRedirects hands a redirect to the caller as the answer it is. What carries
// a secret is never sent on to another address.
func NoRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// RedirectError is a redirect that FollowSameOrigin refused.
type RedirectError struct{ Host string }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("the server redirects to %s, which is not followed", e.Host)
}

// FollowSameOrigin follows a few redirects within scheme, host and port.
func FollowSameOrigin(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || !SameOrigin(req.URL, via[0].URL) {
		return &RedirectError{Host: Clean(req.URL.Host, 100)}
	}
	return nil
}

// SameOrigin tells whether two absolute URLs share scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.User == nil && b.User == nil && strings.EqualFold(a.Scheme, b.Scheme) &&
		strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "http") {
		return "80"
	}
	return "443"
}

// IsLoopback tells whether a host (no port, brackets allowed) is this machine:
// localhost, 127.0.0.0/8 or ::1. No name is looked up.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// MaySend tells whether a secret may travel to u: https, or http on this machine.
func MaySend(u *url.URL) bool {
	if u.Hostname() == "" || u.User != nil {
		return false
	}
	switch strings.ToLower(u.Scheme) {
	case "https":
		return true
	case "http":
		return IsLoopback(u.Hostname())
	}
	return false
}

// TooLargeError is an answer of more than Limit bytes.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the answer is larger than %d bytes", e.Limit)
}

// Read reads a body of at most limit bytes, and fails rather than cut it.
func Read(body io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &TooLargeError{Limit: limit}
	}
	return b, nil
}
