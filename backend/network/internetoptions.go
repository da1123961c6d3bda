package network

import (
	"net/url"
	"path"
	"strings"
)

// internetOptions are Windows' proxy settings.
type internetOptions struct {
	// script gives what the configuration script says of a URL: "" where it says
	// DIRECT, failed, or was not found. It is nil where there is none.
	script func(address string) string
	// proxies are by scheme; that of "" is for each that has none of its own.
	proxies map[string]string
	// exceptions are divided by commas.
	exceptions string
}

// proxyFor decides about one origin, in the form of GProxyResolver. The script
// comes first, as it does in Windows.
func (o internetOptions) proxyFor(origin *url.URL) []string {
	if o.script != nil {
		if found := o.script(origin.String()); found != "" {
			return []string{found}
		}
	}
	proxy := o.proxies[origin.Scheme]
	if proxy == "" {
		proxy = o.proxies[""]
	}
	if socks := o.proxies["socks"]; proxy == "" && socks != "" {
		proxy = "socks://" + strings.TrimPrefix(socks, "socks://")
	}
	if proxy == "" || bypassed(origin, o.exceptions) {
		return nil
	}
	return []string{proxy}
}

// bypassed tells whether one of Windows' exceptions takes the origin out: names and addresses with * for any
// characters, perhaps after a scheme or before a port, and <local> for names
// without a dot. <-loopback> would put this computer back in, which never is.
func bypassed(origin *url.URL, exceptions string) bool {
	host := strings.ToLower(origin.Hostname())
	for rule := range strings.SplitSeq(exceptions, ",") {
		rule = strings.ToLower(strings.TrimSpace(rule))
		if rule == "<local>" {
			if !strings.ContainsAny(host, ".:") {
				return true
			}
			continue
		}
		if scheme, rest, ok := strings.Cut(rule, "://"); ok {
			if scheme != origin.Scheme {
				continue
			}
			rule = rest
		}
		subject := host
		if i := strings.LastIndexByte(rule, ':'); i >= 0 && !strings.HasSuffix(rule, "]") {
			subject = host + ":" + port(origin)
		}
		if ok, err := path.Match(strings.Trim(rule, "[]"), subject); err == nil && ok {
			return true
		}
	}
	return false
}
