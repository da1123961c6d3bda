package network

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"chartkey/backend/fault"
)

// tlsFault tells what went wrong between this workstation and host in TLS, or
// gives nil where it was something else.
func tlsFault(err error, host string, tried *attemptError) *fault.Error {
	var (
		unknownCA x509.UnknownAuthorityError
		wrongHost x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	var shown []*x509.Certificate // the server's first
	if errors.As(err, &verify) {
		shown = verify.UnverifiedCertificates
	}
	alert := remoteAlert(err)
	switch {
	case errors.As(err, &unknownCA):
		if len(shown) == 0 && unknownCA.Cert != nil {
			shown = []*x509.Certificate{unknownCA.Cert}
		}
		return untrustedFault(shown, host, tried.proxy)
	case errors.As(err, &wrongHost):
		names := ""
		if wrongHost.Certificate != nil {
			names = quoteNames(wrongHost.Certificate)
		}
		return fault.Newf(CodeTLSWrongHost, "Check the spelling of the address. If it is right, tell the health system that its certificate names another host.",
			"The certificate that %s shows is for another name%s.", host, names)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		whose := "The certificate of " + host
		if len(shown) > 0 && !invalid.Cert.Equal(shown[0]) {
			whose = "An authority's certificate above that of " + host
		}
		return fault.Newf(CodeTLSExpired, "Check this workstation's date and time. If they are right, tell the health system that its certificate does not count.",
			"%s has expired or is not valid yet: it counts from %s to %s.", whose, day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter))
	case alert == "tls: protocol version not supported", strings.Contains(err.Error(), "tls: server selected unsupported protocol version"):
		return fault.Newf(CodeTLSTooOld, "Tell the health system that SMART App Launch asks for TLS 1.2 or later. An old proxy on the way is another cause.",
			"%s offers only versions of TLS that are too old to be safe.", host)
	case alert == "tls: certificate required", tried.asked && (slices.Contains(certificateAlerts, alert) || cutShort(err)):
		return clientCertificateFault(host, alert, tried.presented)
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/", strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fault.Newf(CodeTLSFailed, "Check that the address has the right port: this one answers http, and not https.",
			"No secure connection to %s could be made.", host)
	case errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &record), alert != "", strings.Contains(err.Error(), "tls: "):
		return fault.Newf(CodeTLSFailed, "Check that the address begins with https and has the right port, and that the server offers TLS 1.2 or later.",
			"No secure connection to %s could be made.", host)
	}
	return nil
}

// remoteAlert gives the text of the TLS alert that the other side sent, or "".
// crypto/tls keeps its type to itself.
func remoteAlert(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" && op.Err != nil {
		return op.Err.Error()
	}
	return ""
}

// certificateAlerts are those by which a server that asked for a client
// certificate refuses what it got. Without one, servers of TLS 1.2 say
// "handshake failure" or "bad certificate" (RFC 5246 section 7.4.6).
var certificateAlerts = []string{
	"tls: bad certificate", "tls: unsupported certificate", "tls: revoked certificate", "tls: expired certificate",
	"tls: unknown certificate", "tls: unknown certificate authority", "tls: access denied", "tls: handshake failure",
	"tls: error decrypting message", "tls: insufficient security level", "tls: certificate unobtainable",
}

// cutShort tells that a connection ended without a word. The alert of TLS 1.3
// comes after the handshake, and may be lost with what follows it; with HTTP/2
// net/http gives no more than a text.
func cutShort(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || cutByPeer(err) || strings.Contains(err.Error(), "client conn could not be established")
}

func clientCertificateFault(host, alert string, presented bool) *fault.Error {
	if !presented {
		return fault.Newf(CodeClientCertificateRequired, "Ask the health system for a client certificate (a PKCS#12 or PEM file), and add it to this registration or workstation.",
			"%s asks for a client certificate, got none, and ended the connection.", host)
	}
	why := ""
	switch alert {
	case "tls: expired certificate":
		why = ": it has expired"
	case "tls: revoked certificate":
		why = ": it was revoked"
	case "tls: unknown certificate authority":
		why = ": it does not know the authority that signed it"
	}
	return fault.Newf(CodeClientCertificateRefused, "Check that the certificate is the one that the health system gave you and that it still counts, and ask them whether it is registered.",
		"%s did not accept the client certificate that it was shown%s.", host, why)
}

// inspectors are words in the names of authorities of products that put
// themselves between a workstation and its servers.
var inspectors = []string{
	"zscaler", "netskope", "fortinet", "fortigate", "palo alto", "blue coat", "bluecoat", "symantec web", "forcepoint", "websense",
	"mcafee web", "skyhigh", "cisco umbrella", "opendns", "sophos", "check point", "barracuda", "watchguard", "untangle", "iboss",
	"menlo security", "cato networks", "cloudflare gateway", "smoothwall", "contentkeeper", "trend micro", "kaspersky", "eset ssl", "avast",
	"bitdefender", "mitmproxy", "squid", "proxy", "inspect", "intercept", "decrypt", "web gateway", "ssl visibility",
}

func untrustedFault(shown []*x509.Certificate, host, proxy string) *fault.Error {
	advice := "Ask your IT department for the authority's certificate (PEM), and add it to Chartkey's extra authorities or to this workstation's trusted certificates. An inspecting proxy is a frequent cause."
	if len(shown) == 0 {
		return fault.Newf(CodeTLSUntrusted, advice, "The certificate of %s is signed by an authority that this workstation does not trust.", host)
	}
	last := shown[len(shown)-1]
	if len(shown) == 1 && bytes.Equal(last.RawIssuer, last.RawSubject) {
		return fault.Newf(CodeTLSUntrusted, "Tell the health system that its certificate is self-signed, or ask your IT department whether it may be added to Chartkey's extra authorities.",
			"The certificate of %s is signed by itself, which this workstation does not trust.", host)
	}
	issuer := nameOf(last.Issuer)
	switch {
	case slices.ContainsFunc(shown, looksInspecting):
		return fault.Newf(CodeTLSUntrusted, "Ask your IT department for the certificate of the proxy's authority (PEM), and add it to Chartkey's extra authorities or to this workstation's trusted certificates.",
			"The certificate of %s is signed by “%s”, which this workstation does not trust and which looks like a proxy that inspects connections.", host, issuer)
	case proxy != "":
		return fault.Newf(CodeTLSUntrusted, advice,
			"The certificate of %s is signed by “%s”, which this workstation does not trust; the connection went through the proxy %s.", host, issuer, Clean(proxy, 200))
	}
	return fault.Newf(CodeTLSUntrusted, advice, "The certificate of %s is signed by “%s”, an authority that this workstation does not trust.", host, issuer)
}

func looksInspecting(c *x509.Certificate) bool {
	names := strings.ToLower(strings.Join(append(append([]string{c.Issuer.CommonName}, c.Issuer.Organization...), c.Issuer.OrganizationalUnit...), "\n"))
	return slices.ContainsFunc(inspectors, func(word string) bool { return strings.Contains(names, word) })
}

// quoteNames lists a few of the names that a certificate is for, in brackets.
func quoteNames(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	const most = 3
	if len(names) > most {
		names = append(names[:most], "…")
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + Clean(strings.Join(names, ", "), 200) + ")"
}

// day is how the dates of certificates are told.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
