package network

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"chartkey/backend/fault"
)

// ProxyError is a proxy that did not let a request through, or whose address
// cannot be read.
type ProxyError struct {
	// Variable is the variable of the environment whose value is no address; the
	// rest is empty then.
	Variable string
	// Proxy is the proxy's host and port.
	Proxy string
	// Status is its answer to CONNECT (RFC 9110 section 9.3.6).
	Status int
	// Schemes are the ways to sign in that it offers with 407 (RFC 9110 section 11.7.1).
	Schemes []string
	// SignedIn tells that user and password were sent.
	SignedIn bool
}

func (e *ProxyError) Error() string {
	if e.Variable != "" {
		return "the variable " + e.Variable + " holds no address of a proxy"
	}
	return "the proxy answers " + http.StatusText(e.Status)
}

// proxyAnswer is the OnProxyConnectResponse of a http.Transport.
func proxyAnswer(_ context.Context, proxy *url.URL, asked *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{
		Proxy: proxy.Host, Status: answer.StatusCode, SignedIn: asked.Header.Get("Proxy-Authorization") != "",
		Schemes: authSchemes(answer.Header.Values("Proxy-Authenticate")),
	}
}

const maxSchemes = 8

// authSchemes gives the names of the challenges in values of Proxy-Authenticate
// (RFC 9110 section 11.6.1). A value may hold several, divided by commas, as
// are the parameters of each.
func authSchemes(values []string) []string {
	var schemes []string
	for _, value := range values {
		for _, part := range splitOutsideQuotes(value) {
			// A challenge is "Scheme", "Scheme token68" or "Scheme name=value". What has
			// its "=" in the first word is a further parameter.
			name, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			if name == "" || len(name) > 30 || strings.ContainsFunc(name, notToken) || len(schemes) >= maxSchemes ||
				slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, name) }) {
				continue
			}
			schemes = append(schemes, name)
		}
	}
	return schemes
}

func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// splitOutsideQuotes divides s at its commas, but those in quoted strings.
func splitOutsideQuotes(s string) []string {
	var parts []string
	quoted, escaped, from := false, false, 0
	for i := range len(s) {
		switch {
		case escaped:
			escaped = false
		case quoted && s[i] == '\\':
			escaped = true
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// proxyFault tells what a proxy answered on the way to host.
func proxyFault(e *ProxyError, host string) *fault.Error {
	proxy := Clean(e.Proxy, 200)
	switch {
	case e.Variable != "":
		return fault.Newf(CodeProxyInvalid, "Set it to the scheme, host and port of the proxy, such as http://proxy.hospital.example:8080, or unset it.",
			"The variable %s holds no address of a proxy, so %s is not asked.", e.Variable, host)
	case e.Status == http.StatusProxyAuthRequired:
		return proxySignIn(e, proxy)
	case e.Status == http.StatusForbidden || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusUnavailableForLegalReasons:
		return fault.Newf(CodeProxyRefused, "Ask your IT department to let this workstation reach "+host+" through the proxy.",
			"The proxy %s does not let requests through to %s (status %d).", proxy, host, e.Status)
	case e.Status >= 500:
		return fault.Newf(CodeProxyRefused, "Check the spelling of the address. If it is right, try again, and ask your IT department whether the proxy can reach it.",
			"The proxy %s could not connect to %s (status %d).", proxy, host, e.Status).CanRetry()
	}
	return fault.Newf(CodeProxyRefused, "Check that the proxy's address is right, and ask your IT department about its answer.",
		"The proxy %s did not connect to %s (status %d).", proxy, host, e.Status)
}

func proxySignIn(e *ProxyError, proxy string) *fault.Error {
	offers := "none that can be read"
	if len(e.Schemes) > 0 {
		offers = strings.Join(e.Schemes, ", ")
	}
	basic := slices.ContainsFunc(e.Schemes, func(s string) bool { return strings.EqualFold(s, "Basic") })
	switch {
	case !basic:
		return fault.Newf(CodeProxySignIn, "Run a helper that signs in for you on this computer, such as px or cntlm, and give its address (for example http://127.0.0.1:3128) as the proxy. Or ask your IT department for an exception.",
			"The proxy %s asks to sign in by a method that Chartkey does not support (it offers: %s).", proxy, offers)
	case e.SignedIn:
		return fault.Newf(CodeProxySignIn, "Check user and password of the proxy in the network settings.",
			"The proxy %s does not accept the user and password it was sent (it offers: %s).", proxy, offers)
	}
	return fault.Newf(CodeProxySignIn, "Give the proxy with its user and password in the network settings.",
		"The proxy %s asks for a user and a password (it offers: %s).", proxy, offers)
}

// proxyConnectFault tells what went wrong before the proxy on the way to host
// could be asked.
func proxyConnectFault(err error, proxy, host string) *fault.Error {
	proxy = Clean(proxy, 200)
	if proxy == "" {
		proxy = "on the way"
	}
	const check = "Check the proxy settings of this workstation (HTTPS_PROXY, NO_PROXY, or Chartkey's own)."
	var (
		dns    *net.DNSError
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Newf(CodeProxyNotFound, check+" If they are right, check that this workstation is on the network (or VPN) that knows the proxy.",
			"The name of the proxy %s on the way to %s cannot be found.", proxy, host).CanRetry()
	case errors.As(err, &verify), errors.As(err, &record):
		return fault.Newf(CodeProxyFailed, "Check that the proxy's address begins with the right scheme: most proxies are reached by http, even for https servers. Or ask your IT department for the proxy's authority.",
			"No secure connection to the proxy %s on the way to %s could be made.", proxy, host)
	case refusedByPeer(err):
		return fault.Newf(CodeProxyUnreachable, check+" If they name a helper on this computer, start it.",
			"The proxy %s on the way to %s refused the connection.", proxy, host).CanRetry()
	case timedOut(err):
		return fault.Newf(CodeProxyUnreachable, check+" If they are right, check the network or VPN.",
			"The proxy %s on the way to %s did not answer in time.", proxy, host).CanRetry()
	}
	return fault.Newf(CodeProxyFailed, check, "The proxy %s on the way to %s cannot be used.", proxy, host).CanRetry()
}

// socksFault is proxyConnectFault for what a SOCKS proxy answered. Its library
// gives texts only.
func socksFault(err error, proxy, host string) *fault.Error {
	if strings.Contains(err.Error(), "authentication") {
		return fault.Newf(CodeProxySignIn, "Give the proxy with its user and password in the network settings.",
			"The proxy %s does not accept the user and password it was sent, or asks for them.", Clean(proxy, 200))
	}
	return fault.Newf(CodeProxyRefused, "Check the spelling of the address. If it is right, ask your IT department whether the proxy lets this workstation reach it.",
		"The proxy %s did not connect to %s.", Clean(proxy, 200), host).CanRetry()
}
