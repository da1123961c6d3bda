package network

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// handshakeTimeout bounds Handshake.
const handshakeTimeout = dialTimeout + tlsTimeout

// Handshake connects to the host of an https URL the way that client goes, and
// gives what was agreed on and the certificates. It ends there: nothing of a
// request is sent. The certificate is verified as for any request. Faults:
// those of Fault.
func Handshake(ctx context.Context, client *http.Client, u *url.URL) (tls.ConnectionState, error) {
	carrier := client.Transport
	if carrier == nil {
		carrier = http.DefaultTransport
	}
	// What watches the requests is no part of the way.
	for outer, ok := carrier.(wrapped); ok; outer, ok = carrier.(wrapped) {
		carrier = outer.Unwrap()
	}
	kind, ok := carrier.(interface{ Clone() *http.Transport })
	if !ok {
		return tls.ConnectionState{}, Fault(errors.New("the client does not tell how it connects"), u.Host)
	}
	t := kind.Clone()
	defer t.CloseIdleConnections()
	t.DisableKeepAlives = true
	// A server of HTTP/2 would miss the client's preface, and say so in its log.
	t.ForceAttemptHTTP2, t.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	var seen atomic.Pointer[tls.ConnectionState]
	t.DialContext = func(ctx context.Context, kind, address string) (net.Conn, error) {
		conn, err := dial(ctx, kind, address)
		if err != nil {
			return nil, err
		}
		return &mutedConn{Conn: conn, muted: func() bool { return seen.Load() != nil }}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeDone: func(state tls.ConnectionState, err error) {
		if err == nil && state.ServerName == indicated(u.Hostname()) { // and not that of a proxy with https
			seen.Store(&state)
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, (&url.URL{Scheme: "https", Host: u.Host}).String(), nil)
	if err != nil {
		return tls.ConnectionState{}, Fault(err, u.Host)
	}
	resp, err := (&transport{t}).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close() // nothing was asked for
		err = errors.New("the connection is not encrypted")
	}
	if state := seen.Load(); state != nil {
		return *state, nil
	}
	return tls.ConnectionState{}, Fault(err, u.Host)
}

// wrapped is a RoundTripper around another one: a recorder of requests, one of failures.
type wrapped interface{ Unwrap() http.RoundTripper }

// indicated is the name that a client sends in the handshake (RFC 6066 section 3): none for an address.
func indicated(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return strings.TrimRight(host, ".")
}

// mutedConn sends nothing from a moment on.
type mutedConn struct {
	net.Conn
	muted func() bool
}

func (c *mutedConn) Write(b []byte) (int, error) {
	if c.muted() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// Expiry gives when the first of a connection's certificates runs out.
func Expiry(state tls.ConnectionState) time.Time {
	var soonest time.Time
	for i, c := range state.PeerCertificates {
		if i == 0 || c.NotAfter.Before(soonest) {
			soonest = c.NotAfter
		}
	}
	return soonest
}
