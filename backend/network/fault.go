package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"chartkey/backend/fault"
)

// The codes of transport faults.
const (
	CodeCancelled         = "cancelled"
	CodeTimeout           = "timeout"
	CodeHostNotFound      = "host-not-found"
	CodeConnectionRefused = "connection-refused"
	CodeConnectionFailed  = "connection-failed"
	CodeRedirect          = "redirect-refused"
	CodeTooLarge          = "answer-too-large"

	CodeProxyInvalid     = "proxy-invalid"     // a variable holds no address
	CodeProxyNotFound    = "proxy-not-found"   // its name is unknown
	CodeProxyUnreachable = "proxy-unreachable" // refused, or no answer
	CodeProxySignIn      = "proxy-sign-in"     // 407, or SOCKS' refusal
	CodeProxyRefused     = "proxy-refused"     // another answer to CONNECT
	CodeProxyFailed      = "proxy-failed"

	CodeTLSUntrusted              = "tls-untrusted"
	CodeTLSWrongHost              = "tls-wrong-host"
	CodeTLSExpired                = "tls-expired"
	CodeTLSTooOld                 = "tls-too-old"
	CodeTLSFailed                 = "tls-failed"
	CodeClientCertificateRequired = "client-certificate-required"
	CodeClientCertificateRefused  = "client-certificate-refused"
)

// Fault turns an error of http.Client.Do, or of reading a body, into a fault
// about host. The error's own text is not shown: it may quote a URL with a
// code or an answer with a token.
func Fault(err error, host string) *fault.Error {
	host = Clean(host, 200)
	return transportFault(err, host).Because(err)
}

func transportFault(err error, host string) *fault.Error {
	var (
		dns      *net.DNSError
		op       *net.OpError
		redirect *RedirectError
		tooLarge *TooLargeError
		proxy    *ProxyError
		tried    *attemptError
	)
	if !errors.As(err, &tried) {
		tried = &attemptError{}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fault.New(CodeCancelled, "The request to "+host+" was cancelled.", "Start again when you are ready.").CanRetry()
	case errors.As(err, &redirect):
		return fault.Newf(CodeRedirect, "Check the address; if it has moved, enter the new one.",
			"%s sends the request on to another place (%s), which Chartkey does not follow.", host, redirect.Host)
	case errors.As(err, &tooLarge):
		return fault.Newf(CodeTooLarge, "Check that the address is that of a FHIR server.",
			"The answer of %s is larger than the %s that Chartkey reads.", host, size(tooLarge.Limit))
	case errors.As(err, &proxy):
		return proxyFault(proxy, host)
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return proxyConnectFault(err, tried.proxy, host)
	case errors.As(err, &op) && strings.HasPrefix(op.Op, "socks "):
		return socksFault(err, tried.proxy, host)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Newf(CodeHostNotFound, "Check the spelling of the address, and that this workstation is on the network (or VPN) that knows it.",
			"The name %s cannot be found.", host).CanRetry()
	}
	if f := tlsFault(err, host, tried); f != nil {
		return f
	}
	switch {
	case timedOut(err):
		return fault.Newf(CodeTimeout, "Try again. If it stays slow, check the network or VPN, or ask the health system whether the server is up.",
			"%s did not answer in time.", host).CanRetry()
	case refusedByPeer(err):
		return fault.Newf(CodeConnectionRefused, "Check the port in the address, and that the server is running.",
			"%s refused the connection.", host).CanRetry()
	}
	return fault.Newf(CodeConnectionFailed, "Check this workstation's network connection (or VPN) and try again.",
		"The connection to %s failed.", host).CanRetry()
}

func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// Wait is how long a server asks to be left alone. It is the cause of a fault
// that tells so in words.
type Wait time.Duration

func (w Wait) Error() string { return "asked to wait " + time.Duration(w).String() }

// maxRetryAfter bounds what a server may ask to wait; beyond it the header is noise.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads the header of that name, in seconds or as a date (RFC 9110
// section 10.2.3). It gives 0 where there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.Atoi(text); err == nil {
		if n > int(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now).Round(time.Second)
	}
	return min(max(d, 0), maxRetryAfter)
}
