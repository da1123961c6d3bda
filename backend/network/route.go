package network

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"chartkey/backend/fault"
)

// Route is the way to one server, for people and the doctor.
type Route struct {
	// Origin is the scheme, host and port that was asked about.
	Origin string `json:"origin"`
	// Proxy is the scheme, host and port of the proxy; "" is a direct connection.
	Proxy string `json:"proxy"`
	// SignsIn tells that a user is sent to the proxy.
	SignsIn bool `json:"signs_in"`
	// Reason is one of the Reason… constants.
	Reason string `json:"reason"`
	// Source is the variable that names the proxy, or the exception that takes the host out.
	Source string `json:"source"`
	// Detail tells the reason in a sentence.
	Detail string `json:"detail"`
	// Authorities are those that are trusted beside the system's.
	Authorities []RouteBundle `json:"authorities"`
	// ClientCertificate is shown to the server where it asks for one.
	ClientCertificate *CertificateInfo `json:"client_certificate"`
	// Notices tell what could not be found out.
	Notices []string `json:"notices"`
	// Error is the fault with which every request on this way ends.
	Error *fault.Error `json:"error"`
}

// RouteBundle is a bundle of extra authorities, described.
type RouteBundle struct {
	Name         string            `json:"name"`
	Certificates []CertificateInfo `json:"certificates"`
}

// Explain tells which way a client of NewClientWith(o) goes to an absolute
// http or https URL. It asks neither the server nor the proxy. No password is
// in its result.
//
// Faults: url-invalid, those of Proxy.Check, client-certificate-unusable.
func Explain(ctx context.Context, address string, o Options) (Route, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || !strings.EqualFold(u.Scheme, "https") && !strings.EqualFold(u.Scheme, "http") {
		return Route{}, fault.New("url-invalid", "This is not the address of a server.", "Give an address that begins with https:// and names a host.")
	}
	if err := o.Proxy.Check(); err != nil {
		return Route{}, err
	}
	c := newProxyChooser(o).choose(ctx, u)
	host := Clean(u.Hostname(), 200)
	r := Route{
		Origin: strings.ToLower(u.Scheme) + "://" + Clean(u.Host, 200), Reason: c.reason, Source: Clean(c.source, 200),
		Authorities: []RouteBundle{}, Notices: []string{},
	}
	if c.proxy != nil {
		r.Proxy, r.SignsIn = c.proxy.Scheme+"://"+Clean(c.proxy.Host, 200), c.proxy.User != nil
	}
	if c.notice != "" {
		r.Notices = append(r.Notices, c.notice)
	}
	if c.err != nil {
		r.Error = Fault(c.err, host)
	}
	r.Detail = r.why(host)
	for _, bundle := range o.ExtraCAs {
		r.Authorities = append(r.Authorities, RouteBundle{bundle.Name, bundle.Authorities()})
	}
	if o.ClientCertificate != nil {
		info, err := o.ClientCertificate.Info()
		if err != nil {
			return Route{}, err
		}
		r.ClientCertificate = &info
	}
	return r, nil
}

// why tells the reason in a sentence.
func (r Route) why(host string) string {
	switch r.Reason {
	case ReasonLoopback:
		return host + " is this computer, which is never reached through a proxy."
	case ReasonSetting:
		return fmt.Sprintf("Chartkey's settings name the proxy %s.", r.Proxy)
	case ReasonSettingDirect:
		return "Chartkey's settings say to use no proxy."
	case ReasonSettingException:
		return fmt.Sprintf("The exceptions in Chartkey's settings take %s out by “%s”.", host, r.Source)
	case ReasonEnvironment:
		if r.Error != nil {
			return r.Error.Message
		}
		return fmt.Sprintf("The variable %s names the proxy %s.", r.Source, r.Proxy)
	case ReasonNoProxy:
		return fmt.Sprintf("The variable NO_PROXY takes %s out by “%s”.", host, r.Source)
	case ReasonSystem:
		return fmt.Sprintf("%s name the proxy %s.", strings.ToUpper(systemSource[:1])+systemSource[1:], r.Proxy)
	}
	return "No proxy is set, so the server is reached directly."
}
