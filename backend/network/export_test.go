package network

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"
)

// RootsForTest gives the authorities that a client trusts.
func RootsForTest(c *http.Client) *x509.CertPool {
	return c.Transport.(*transport).TLSClientConfig.RootCAs
}

// SystemProxyForTest is a SystemProxy that asks ask.
func SystemProxyForTest(now func() time.Time, ask func(context.Context, *url.URL) ([]string, error)) *SystemProxy {
	return &SystemProxy{now: now, ask: ask, answers: map[string]systemAnswer{}}
}

// InternetOptionsForTest decides as Windows' settings would.
func InternetOptionsForTest(script func(string) string, proxies map[string]string, exceptions string, origin *url.URL) []string {
	return internetOptions{script, proxies, exceptions}.proxyFor(origin)
}

// AuthSchemesForTest gives the names of the challenges.
func AuthSchemesForTest(values []string) []string { return authSchemes(values) }
