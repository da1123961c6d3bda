package network

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
)

// Proxy is the workstation's own proxy setting. The zero value leaves the
// choice to the environment and the system.
type Proxy struct {
	// Direct reaches every server without a proxy, whatever else is set.
	Direct bool
	// URL is the scheme (http, https, socks5, socks5h), host and port of the
	// proxy for every server, such as http://proxy.hospital.example:8080. A bare
	// host:port is http.
	URL string
	// User and Password are for a proxy that asks for them (Basic, RFC 7617; for
	// SOCKS, RFC 1929). They go to the proxy of URL only.
	User     string
	Password secret.Value
	// Except lists, divided by commas, the hosts that are reached without the
	// proxy of URL, in the form of NO_PROXY: names (with what is below them),
	// .names (only what is below), addresses, CIDR ranges, "*".
	Except string
}

// The reasons why a server is reached through a proxy or without one.
const (
	// ReasonLoopback: this computer is never reached through a proxy.
	ReasonLoopback = "loopback"
	// ReasonSetting: the workstation's setting names the proxy.
	ReasonSetting = "setting"
	// ReasonSettingDirect: the workstation's setting is to use none.
	ReasonSettingDirect = "setting-direct"
	// ReasonSettingException: the exceptions of the workstation's setting name the host.
	ReasonSettingException = "setting-exception"
	// ReasonEnvironment: a variable of the environment names the proxy.
	ReasonEnvironment = "environment"
	// ReasonNoProxy: the variable NO_PROXY names the host.
	ReasonNoProxy = "no-proxy"
	// ReasonSystem: the desktop's settings name the proxy.
	ReasonSystem = "system"
	// ReasonNone: nothing names a proxy.
	ReasonNone = "none"
)

// choice is what is decided about one URL.
type choice struct {
	proxy  *url.URL // nil is a direct connection
	reason string
	// source is the variable that counted, or the exception.
	source string
	// notice tells that the system's settings could not be asked.
	notice string
	err    error
}

// proxyChooser decides which proxy a server is reached through.
type proxyChooser struct {
	setting       Proxy
	proxy         *url.URL            // the setting's, with its credentials left out
	environment   map[string]variable // by the scheme of the server
	environExcept variable
	system        *SystemProxy
}

// variable is one of the environment that is set.
type variable struct{ name, value string }

func lookUp(getenv func(string) string, name string) variable {
	for _, n := range []string{name, strings.ToLower(name)} {
		if v := strings.TrimSpace(getenv(n)); v != "" {
			return variable{n, v}
		}
	}
	return variable{}
}

// newProxyChooser takes options whose proxy setting was checked.
func newProxyChooser(o Options) proxyChooser {
	getenv := o.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	p := proxyChooser{
		setting:       o.Proxy,
		environment:   map[string]variable{"https": lookUp(getenv, "HTTPS_PROXY"), "http": lookUp(getenv, "HTTP_PROXY")},
		environExcept: lookUp(getenv, "NO_PROXY"),
		system:        o.System,
	}
	if o.Proxy.URL != "" {
		p.proxy, _ = parseProxy(o.Proxy.URL) // Check parsed it
	}
	return p
}

// choose decides about one absolute URL.
func (p proxyChooser) choose(ctx context.Context, u *url.URL) choice {
	switch {
	case isThisComputer(u.Hostname()):
		return choice{reason: ReasonLoopback}
	case p.setting.Direct:
		return choice{reason: ReasonSettingDirect}
	case p.proxy != nil:
		if rule := exceptionFor(u, p.setting.Except); rule != "" {
			return choice{reason: ReasonSettingException, source: rule}
		}
		with := *p.proxy
		if p.setting.User != "" {
			with.User = url.UserPassword(p.setting.User, p.setting.Password.Reveal())
		}
		return choice{proxy: &with, reason: ReasonSetting}
	}
	// The exception counts for the system's proxy too: who sets it means it.
	if rule := exceptionFor(u, p.environExcept.value); rule != "" {
		return choice{reason: ReasonNoProxy, source: rule}
	}
	if v := p.environment[strings.ToLower(u.Scheme)]; v.value != "" {
		proxy, err := parseProxy(v.value)
		if err != nil {
			return choice{reason: ReasonEnvironment, source: v.name, err: &ProxyError{Variable: v.name}}
		}
		return choice{proxy: proxy, reason: ReasonEnvironment, source: v.name}
	}
	if p.system == nil {
		return choice{reason: ReasonNone}
	}
	proxy, notice := p.system.lookup(ctx, u)
	if proxy == nil {
		return choice{reason: ReasonNone, notice: notice}
	}
	return choice{proxy: proxy, reason: ReasonSystem}
}

// forRequest is the Proxy of a http.Transport.
func (p proxyChooser) forRequest(q *http.Request) (*url.URL, error) {
	c := p.choose(q.Context(), q.URL)
	if c.err != nil {
		return nil, c.err
	}
	if c.proxy != nil {
		attemptOf(q.Context()).through(c.proxy.Host)
	}
	return c.proxy, nil
}

// isThisComputer is IsLoopback, and the other spellings of localhost (RFC 6761
// section 6.3).
func isThisComputer(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return IsLoopback(host) || strings.HasSuffix(host, ".localhost")
}

// exceptionFor gives the rule of a NO_PROXY list that takes u out, or "".
func exceptionFor(u *url.URL, list string) string {
	for rule := range strings.SplitSeq(list, ",") {
		// The library tells only that a list has a rule. It is asked about one rule at a time.
		config := httpproxy.Config{HTTPProxy: "http://proxy.invalid", HTTPSProxy: "http://proxy.invalid", NoProxy: rule}
		if proxy, err := config.ProxyFunc()(u); err == nil && proxy == nil {
			return strings.TrimSpace(rule)
		}
	}
	return ""
}

// proxySchemes are what net/http can speak to a proxy.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// parseProxy reads the address of a proxy. A bare host:port is http.
func parseProxy(raw string) (*url.URL, *fault.Error) {
	invalid := func(message string) (*url.URL, *fault.Error) {
		return nil, fault.New("proxy-url-invalid", message, "Give the proxy as scheme, host and port, for example http://proxy.hospital.example:8080.")
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil: // its text quotes what may hold a password
		return invalid("The address of the proxy cannot be read.")
	case !slices.Contains(proxySchemes, u.Scheme):
		return invalid("The address of the proxy must begin with http, https, socks5 or socks5h.")
	case u.Hostname() == "":
		return invalid("The address of the proxy names no host.")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return invalid("The address of the proxy has more than a scheme, a host and a port. A configuration script (PAC) is not one.")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return invalid("The port of the proxy must be from 1 to 65535.")
		}
	}
	u.Path = ""
	return u, nil
}

// Check tells whether a setting can be used.
//
// Faults: proxy-url-invalid; proxy-url-password where URL has a user or a
// password in it, so that none is kept in clear; proxy-user-without-url.
func (p Proxy) Check() error {
	if p.URL == "" {
		if p.User != "" || !p.Password.IsEmpty() {
			return fault.New("proxy-user-without-url", "There is a user for a proxy, and no proxy.", "Give the proxy's address as well, or take the user out.")
		}
		return nil
	}
	u, err := parseProxy(p.URL)
	if err != nil {
		return err
	}
	if u.User != nil {
		return fault.New("proxy-url-password", "The address of the proxy has a user or a password in it.", "Give the address without them, and user and password in their own fields.")
	}
	return nil
}
