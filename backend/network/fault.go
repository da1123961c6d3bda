package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
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
	CodeProxyFailed       = "proxy-failed"
	CodeTLSUntrusted      = "tls-untrusted"
	CodeTLSWrongHost      = "tls-wrong-host"
	CodeTLSExpired        = "tls-expired"
	CodeTLSFailed         = "tls-failed"
	CodeRedirect          = "redirect-refused"
	CodeTooLarge          = "answer-too-large"
)

// Fault turns an error of http.Client.Do, or of reading a body, into a fault
// about host. The error's own text is not shown: it may quote a URL with a
// code or an answer with a token.
func Fault(err error, host string) *fault.Error {
	host = Clean(host, 200)
	var (
		dns       *net.DNSError
		unknownCA x509.UnknownAuthorityError
		wrongHost x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		op        *net.OpError
		redirect  *RedirectError
		tooLarge  *TooLargeError
		timeout   interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, context.Canceled):
		return fault.New(CodeCancelled, "The request to "+host+" was cancelled.", "Start again when you are ready.").CanRetry().Because(err)
	case errors.As(err, &redirect):
		return fault.Newf(CodeRedirect, "Check the address; if it has moved, enter the new one.",
			"%s sends the request on to another place (%s), which Chartkey does not follow.", host, redirect.Host).Because(err)
	case errors.As(err, &tooLarge):
		return fault.Newf(CodeTooLarge, "Check that the address is that of a FHIR server.",
			"The answer of %s is larger than the %s that Chartkey reads.", host, size(tooLarge.Limit)).Because(err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Newf(CodeHostNotFound, "Check the spelling of the address, and that this workstation is on the network (or VPN) that knows it.",
			"The name %s cannot be found.", host).CanRetry().Because(err)
	case errors.As(err, &unknownCA):
		return fault.Newf(CodeTLSUntrusted, "Ask your IT department to add the issuing authority to this workstation's trusted certificates. An inspecting proxy is a frequent cause.",
			"The certificate of %s is signed by an authority that this workstation does not trust.", host).Because(err)
	case errors.As(err, &wrongHost):
		return fault.Newf(CodeTLSWrongHost, "Check the spelling of the address. If it is right, tell the health system that its certificate names another host.",
			"The certificate that %s shows is for another name.", host).Because(err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault.Newf(CodeTLSExpired, "Check this workstation's date and time. If they are right, tell the health system that its certificate has expired.",
			"The certificate of %s has expired or is not valid yet.", host).Because(err)
	case errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert),
		strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fault.Newf(CodeTLSFailed, "Check that the address begins with https and has the right port, and that the server offers TLS 1.2 or later.",
			"No secure connection to %s could be made.", host).Because(err)
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return fault.Newf(CodeProxyFailed, "Check the proxy settings of this workstation (HTTPS_PROXY, NO_PROXY).",
			"The proxy on the way to %s cannot be used.", host).CanRetry().Because(err)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fault.Newf(CodeTimeout, "Try again. If it stays slow, check the network or VPN, or ask the health system whether the server is up.",
			"%s did not answer in time.", host).CanRetry().Because(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Newf(CodeConnectionRefused, "Check the port in the address, and that the server is running.",
			"%s refused the connection.", host).CanRetry().Because(err)
	}
	return fault.Newf(CodeConnectionFailed, "Check this workstation's network connection (or VPN) and try again.",
		"The connection to %s failed.", host).CanRetry().Because(err)
}

func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

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
