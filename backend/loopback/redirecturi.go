package loopback

import (
	"crypto/tls"
	"errors"
	"net/url"
	"path"
	"strconv"
	"strings"

	"chartkey/backend/fault"
)

// The ports that a redirect URI may name. Below 1024 a program needs special rights.
const (
	minPort = 1024
	maxPort = 65535
)

// target is a redirect URI taken apart.
type target struct {
	uri  string // as registered, character for character
	host string // host and port in lower case, as a Host header names them
	path string
	port int
	// v6 is true for [::1], which cannot be served where IPv6 is absent.
	v6 bool
	// secure is true for https.
	secure bool
}

// CheckRedirectURI tells whether Chartkey can receive a sign-in at raw without
// a certificate: http, a loopback host (localhost, 127.0.0.1 or [::1]; RFC 8252
// section 7.3), a port from 1024 to 65535 and a path.
func CheckRedirectURI(raw string) error {
	_, err := parseTarget(raw, nil)
	return err
}

// CheckSecureRedirectURI is CheckRedirectURI, and takes https too: a receiver
// with certificates can answer there.
func CheckSecureRedirectURI(raw string) error {
	_, err := parseTarget(raw, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("no certificate") })
	return err
}

// CheckRedirectURI is the function of that name, and takes https where the
// receiver has certificates for it.
func (r *Receiver) CheckRedirectURI(raw string) error {
	_, err := parseTarget(raw, r.Certificates)
	return err
}

// parseTarget takes https where there are certificates.
func parseTarget(raw string, certificates Certificates) (target, error) {
	const example = "Use an address such as http://localhost:18320/callback, exactly as it is registered with the EHR."
	invalid := func(message string) (target, error) {
		return target{}, fault.New("redirect-uri-invalid", message, example)
	}
	unsupported := func(message string) (target, error) {
		return target{}, fault.New("redirect-uri-unsupported", message, example)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return invalid("The redirect URI is not a complete address.")
	}
	if strings.EqualFold(u.Scheme, AppScheme) {
		// To the letter, as servers compare it; what would be a path is none.
		if raw != AppRedirectURI {
			return unsupported("Of the addresses with Chartkey's own scheme, only " + AppRedirectURI + " is answered.")
		}
		return target{uri: raw, host: AppScheme, path: "/callback"}, nil
	}
	switch host := strings.ToLower(u.Hostname()); {
	case u.Scheme == "https" && isLoopback(host) && certificates == nil:
		return unsupported("A redirect URI with https on this computer needs a certificate for localhost, which Chartkey does not have.")
	case u.Scheme != "http" && u.Scheme != "https":
		return unsupported("A redirect URI with an app's own scheme is not supported yet.")
	case !isLoopback(host):
		return invalid("The redirect URI does not lead to this computer.")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#") {
		return invalid("The redirect URI has more than a host, a port and a path.")
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil || strconv.Itoa(port) != u.Port() || port < minPort || port > maxPort {
		return target{}, fault.Newf("redirect-uri-port", example, "The redirect URI needs a port from %d to %d.", minPort, maxPort)
	}
	// The path is compared character for character, so only spellings that a
	// browser leaves alone are taken.
	if u.Path == "" || u.EscapedPath() != u.Path || strings.ContainsAny(u.Path, `%\`) ||
		path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && u.Path != "/" {
		return invalid("The redirect URI needs a plain path.")
	}
	if strings.HasPrefix(u.Path, donePath) {
		return invalid("The path of the redirect URI is one that Chartkey uses itself.")
	}
	return target{
		uri: raw, host: strings.ToLower(u.Host), path: u.Path, port: port, v6: u.Hostname() == "::1", secure: u.Scheme == "https",
	}, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
