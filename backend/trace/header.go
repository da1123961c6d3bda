package trace

import (
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// headerForm is how the value of a header is kept.
type headerForm int

const (
	plainHeader headerForm = iota // words of a protocol
	dateHeader
	addressHeader
	mediaHeader
	idHeader     // of a request, for the server's log
	clientHeader // a client ID
)

// headerRules are the headers whose values are kept. Of every other there is a
// mark; Authorization, WWW-Authenticate and cookies are taken apart.
var headerRules = map[string]headerForm{
	"Accept": plainHeader, "Accept-Charset": plainHeader, "Accept-Encoding": plainHeader, "Accept-Language": plainHeader, "User-Agent": plainHeader,
	"Cache-Control": plainHeader, "Pragma": plainHeader, "Content-Length": plainHeader, "Content-Encoding": plainHeader, "Content-Language": plainHeader,
	"Prefer": plainHeader, "Server": plainHeader, "Via": plainHeader, "Age": plainHeader, "Vary": plainHeader, "Allow": plainHeader, "Connection": plainHeader,
	"Keep-Alive": plainHeader, "Transfer-Encoding": plainHeader, "Upgrade": plainHeader, "Strict-Transport-Security": plainHeader, "Retry-After": plainHeader,
	"X-Content-Type-Options": plainHeader, "X-Frame-Options": plainHeader, "X-Powered-By": plainHeader, "X-Aspnet-Version": plainHeader, "X-Xss-Protection": plainHeader,
	"Referrer-Policy": plainHeader, "Access-Control-Allow-Methods": plainHeader, "Access-Control-Allow-Headers": plainHeader,
	"Access-Control-Allow-Credentials": plainHeader, "Access-Control-Max-Age": plainHeader, "Access-Control-Expose-Headers": plainHeader,
	"X-Ratelimit-Limit": plainHeader, "X-Ratelimit-Remaining": plainHeader, "X-Ratelimit-Reset": plainHeader, "X-Cache": plainHeader, "Cross-Origin-Resource-Policy": plainHeader, "Cross-Origin-Opener-Policy": plainHeader, "Cross-Origin-Embedder-Policy": plainHeader, "Alt-Svc": plainHeader,
	"Date": dateHeader, "Expires": dateHeader,
	"Location": addressHeader, "Content-Location": addressHeader, "Referer": addressHeader, "Origin": addressHeader, "Access-Control-Allow-Origin": addressHeader,
	"Content-Type":   mediaHeader,
	"Epic-Client-Id": clientHeader,
	// They are what a server's administrators find a request by.
	"X-Request-Id": idHeader, "Request-Id": idHeader, "X-Correlation-Id": idHeader, "X-Amzn-Requestid": idHeader, "X-Amzn-Trace-Id": idHeader,
	"X-Ms-Request-Id": idHeader, "Cf-Ray": idHeader, "Traceparent": idHeader, "X-Vcap-Request-Id": idHeader, "Opc-Request-Id": idHeader,
}

var (
	plainHeaderText = regexp.MustCompile(`^[A-Za-z0-9 _.:;,/*+="()@'?~-]{1,400}$`)
	plainID         = regexp.MustCompile(`^[A-Za-z0-9_.:=;/+-]{1,128}$`)
	plainMedia      = regexp.MustCompile(`^[a-z0-9.+-]{1,60}/[a-z0-9.+*-]{1,60}$`)
	headerParts     = regexp.MustCompile(`[ ;,="()]+`)
)

// headers redacts the headers of a message, by name.
func (m *marks) headers(h http.Header) []Field {
	out := []Field{}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			if len(out) == maxFields {
				return append(out, Field{"‹more›", ""})
			}
			out = append(out, Field{m.name(name), cut(m.header(http.CanonicalHeaderKey(name), value), maxField)})
		}
	}
	return out
}

func (m *marks) header(name, value string) string {
	switch name {
	case "Authorization", "Proxy-Authorization":
		return m.authorization(value)
	case "Www-Authenticate", "Proxy-Authenticate":
		return m.challenge(value)
	case "Cookie", "Set-Cookie":
		return m.cookies(name, value)
	}
	f, ok := headerRules[name]
	switch {
	case !ok && speaksOfSecret(name):
		return m.secret(SomeToken, value)
	case !ok:
		return m.text(value)
	}
	switch f {
	case plainHeader:
		if plainHeaderText.MatchString(value) && !slices.ContainsFunc(headerParts.Split(value, -1), looksOpaque) {
			return m.scrub(value)
		}
	case dateHeader:
		if _, err := http.ParseTime(value); err == nil || value == "0" || value == "-1" {
			return m.scrub(value)
		}
	case addressHeader:
		if value == "*" {
			return value
		}
		return m.address(value).text
	case mediaHeader:
		return m.media(value)
	case idHeader:
		if plainID.MatchString(value) {
			return m.scrub(value)
		}
	case clientHeader:
		return m.apply(rule{as: asClient}, value)
	}
	return m.text(value)
}

// media keeps a Content-Type and its charset and FHIR version.
func (m *marks) media(value string) string {
	kind, parameters, err := mime.ParseMediaType(value)
	if err != nil || !plainMedia.MatchString(kind) {
		return m.text(value)
	}
	out := m.scrub(kind)
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		v := parameters[name]
		if (name == "charset" || name == "fhirversion") && len(v) < 20 && plainWord.MatchString(v) {
			out += "; " + name + "=" + m.scrub(v)
			continue
		}
		out += "; " + m.name(name) + "=" + m.text(v)
	}
	return out
}

// authorization redacts credentials, with what is no secret of them: the
// scheme, and the client ID of Basic (RFC 6749 section 2.3.1, RFC 7617).
func (m *marks) authorization(value string) string {
	scheme, credentials, _ := strings.Cut(value, " ")
	credentials = strings.TrimSpace(credentials)
	if !plainName.MatchString(scheme) || looksOpaque(scheme) || credentials == "" {
		return m.secret(Credentials, value)
	}
	switch lower(scheme) {
	case "bearer":
		mark := m.secret(AccessToken, credentials)
		m.readJWT(string(AccessToken), credentials, mark)
		return scheme + " " + mark
	case "basic":
		mark := m.secret(Credentials, credentials)
		raw, err := base64.StdEncoding.DecodeString(credentials)
		id, password, ok := strings.Cut(string(raw), ":")
		if err != nil || !ok {
			return scheme + " " + mark
		}
		if plain, err := url.QueryUnescape(password); err == nil && plain != password {
			m.secret(ClientSecret, password)
			password = plain
		}
		if plain, err := url.QueryUnescape(id); err == nil {
			id = plain
		}
		// The secret first: a client ID that is one is none to be shown.
		hidden := m.secret(ClientSecret, password)
		return scheme + " " + m.apply(rule{as: asClient}, id) + ":" + hidden
	}
	return m.scrub(scheme) + " " + m.secret(Credentials, credentials)
}

// cookies keeps the names of cookies.
func (m *marks) cookies(name, value string) string {
	pairs := strings.Split(value, ";")
	if name == "Set-Cookie" {
		pairs = pairs[:1] // attributes follow
	}
	for i, pair := range pairs {
		cookie, content, _ := strings.Cut(strings.TrimSpace(pair), "=")
		pairs[i] = m.name(cookie) + "=" + m.secret(Cookie, strings.Trim(content, `"`))
	}
	return strings.Join(pairs, "; ")
}

// challengeRules are the parameters of WWW-Authenticate that are kept (RFC
// 6750 section 3, RFC 7235, RFC 9728).
var challengeRules = map[string]rule{
	"realm": {as: asSpoken}, "error": {as: asWord}, "error_description": {as: asSpoken}, "error_uri": {as: asAddress}, "scope": {as: asWords},
	"authorization_uri": {as: asAddress}, "resource_metadata": {as: asAddress}, "charset": {as: asWord}, "algorithm": {as: asWord}, "qop": {as: asWord},
}

var challengePart = regexp.MustCompile(`([A-Za-z0-9_.~+/-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"=][^\s,"]*))?=*`)

// challenge keeps the schemes of WWW-Authenticate and the parameters that say
// what is wrong.
func (m *marks) challenge(value string) string {
	if len(value) > maxWords {
		return m.text(value)
	}
	var out []string
	for _, part := range challengePart.FindAllStringSubmatch(value, 40) {
		name, v := part[1], part[2]
		switch {
		case v != "":
			if unquoted, ok := strings.CutPrefix(v, `"`); ok {
				v = unquote(strings.TrimSuffix(unquoted, `"`))
			}
			if r, ok := challengeRules[lower(name)]; ok {
				v = m.apply(r, v)
			} else {
				v = m.text(v)
			}
			out = append(out, m.name(name)+`="`+v+`"`)
		case schemes[lower(name)]:
			out = append(out, name)
		case len(name) >= 2*block: // a token68
			out = append(out, m.secret(Credentials, name))
		default:
			out = append(out, m.text(name))
		}
	}
	return m.again(strings.Join(out, " "))
}

var schemes = map[string]bool{"basic": true, "bearer": true, "digest": true, "negotiate": true, "ntlm": true, "kerberos": true, "dpop": true, "oauth": true}
