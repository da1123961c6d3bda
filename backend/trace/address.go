package trace

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// address is a URL that was redacted.
type address struct {
	text  string
	query []Field
	// fhir is the resource type of a FHIR URL, "metadata" or another word of its
	// first step; isFHIR tells one from other URLs.
	fhir   string
	isFHIR bool
}

// place is a URL of which the path is configuration, and no one's secret.
type place struct {
	origin, path string
	kind         string // of what is sent there; "" is not known
	base         bool   // a FHIR base URL
}

// The bounds on what is shown of a query, a form or the headers: how many, and
// how long in characters.
const (
	maxFields  = 100
	maxField   = 2000
	maxAddress = 4000
)

// maxPlaces bounds what is learned of discovery documents.
const maxPlaces = 64

// learn makes the path of a URL known as public.
func (m *marks) learn(raw, kind string, base bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || len(raw) > 2000 || len(m.places) >= maxPlaces {
		return
	}
	p := place{origin(u), strings.TrimRight(u.EscapedPath(), "/"), kind, base}
	if !slices.Contains(m.places, p) {
		m.places = append(m.places, p)
		for step := range strings.SplitSeq(u.Path, "/") {
			if looksOpaque(step) && len(m.public) < 4*maxPlaces { // a tenant
				m.public[step] = true
			}
		}
	}
}

func origin(u *url.URL) string { return strings.ToLower(u.Scheme + "://" + u.Host) }

// at gives the known place that a URL is at or below, the longest there is.
func (m *marks) at(u *url.URL, fits func(place) bool) (place, bool) {
	best, found := place{}, false
	from, path := origin(u), u.EscapedPath()
	for _, p := range m.places {
		if p.origin == from && (path == p.path || strings.HasPrefix(path, p.path+"/")) && len(p.path) >= len(best.path) && fits(p) {
			best, found = p, true
		}
	}
	return best, found
}

// address redacts a URL: its password, what its path says of people, and the
// values of its parameters.
func (m *marks) address(raw string) address {
	raw = clean(raw)
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxWords || u.Opaque != "" || u.Host == "" && u.Path == "" && u.RawQuery == "" {
		return address{text: m.text(raw)}
	}
	var b strings.Builder
	if u.Scheme != "" {
		b.WriteString(u.Scheme + ":")
	}
	if u.Host != "" {
		b.WriteString("//")
		if u.User != nil {
			b.WriteString(m.secret(Credentials, u.User.String()) + "@")
			if password, ok := u.User.Password(); ok {
				m.secret(Password, password)
			}
		}
		b.WriteString(m.scrub(u.Host))
	}
	out := address{}
	path := u.EscapedPath()
	if p, ok := m.at(u, func(p place) bool { return p.base }); ok {
		b.WriteString(m.scrub(p.path))
		out.isFHIR = true
		var rest string
		rest, out.fhir = m.fhirPath(strings.TrimPrefix(path, p.path))
		b.WriteString(rest)
	} else if p, ok := m.at(u, func(p place) bool { return !p.base && p.path != "" }); ok {
		b.WriteString(m.scrub(p.path) + m.steps(strings.TrimPrefix(path, p.path)))
	} else {
		before, rest := fhirBelow(path)
		b.WriteString(m.steps(before))
		if rest != "" {
			out.isFHIR = true
			rest, out.fhir = m.fhirPath(rest)
			b.WriteString(rest)
		}
	}
	if u.RawQuery != "" {
		out.query = m.parameters(u.RawQuery, out.isFHIR, out.fhir)
		b.WriteString("?" + joined(out.query))
	}
	if fragment := u.EscapedFragment(); fragment != "" {
		b.WriteString("#")
		if strings.Contains(fragment, "=") {
			b.WriteString(joined(m.parameters(fragment, false, "")))
		} else {
			b.WriteString(m.text(fragment))
		}
	}
	out.text = cut(m.again(b.String()), maxAddress)
	return out
}

func joined(list []Field) string {
	var parts []string
	for _, f := range list {
		if f.Value == "" {
			parts = append(parts, f.Name+"=")
			continue
		}
		parts = append(parts, f.Name+"="+f.Value)
	}
	return strings.Join(parts, "&")
}

// fhirBelow splits a path before its first step that is a resource type.
func fhirBelow(path string) (before, rest string) {
	at := 0
	for _, step := range strings.Split(path, "/") {
		if isType(step) {
			return path[:max(0, at-1)], path[max(0, at-1):]
		}
		at += len(step) + 1
	}
	return path, ""
}

// fhirPath redacts what stands below a FHIR base (FHIR R4, "RESTful API"):
// [type]/[id]/_history/[vid], [type]/[id]/[type of a compartment], and operations.
func (m *marks) fhirPath(path string) (out, first string) {
	var b strings.Builder
	relative := path != "" && path[0] != '/' // as the links of a Bundle may be
	steps := strings.Split(strings.Trim(path, "/"), "/")
	kind := ""
	for i, step := range steps {
		if step == "" {
			continue
		}
		plain, err := url.PathUnescape(step)
		if err != nil {
			plain = step
		}
		if i == 0 {
			first = "?"
		}
		if i > 0 || !relative {
			b.WriteByte('/')
		}
		switch {
		case (i == 0 || i == 2) && isType(plain), fhirWords[plain]:
			b.WriteString(plain)
			if i == 0 {
				first = plain
			}
			kind = plain
		case strings.HasPrefix(plain, "$") && operation.MatchString(plain):
			b.WriteString(m.scrub(plain))
		case i == 1 && isType(kind):
			b.WriteString(m.secret(idOf(kind), plain))
		default:
			b.WriteString(m.text(plain))
		}
	}
	if len(path) > 1 && strings.HasSuffix(path, "/") {
		b.WriteByte('/')
	}
	return b.String(), first
}

var (
	operation = regexp.MustCompile(`^\$[a-z][a-z-]{1,40}$`)
	fhirWords = map[string]bool{"metadata": true, ".well-known": true, "smart-configuration": true, "_history": true, "_search": true}
)

// threeDigits are more than versions have.
var threeDigits = regexp.MustCompile(`[0-9]{3}`)

// steps redacts a path of which nothing is known: steps that look like
// something random go.
func (m *marks) steps(path string) string {
	steps := strings.Split(path, "/")
	for i, step := range steps {
		plain, err := url.PathUnescape(step)
		switch {
		case step == "":
		case err == nil && (isPlainStep(plain) || m.public[plain]):
			steps[i] = m.scrub(plain)
		default:
			steps[i] = m.text(plain)
		}
	}
	return strings.Join(steps, "/")
}

// isPlainStep tells a word, a version or a short name from an id.
func isPlainStep(step string) bool {
	if len(step) > 60 || looksOpaque(step) || threeDigits.MatchString(step) {
		return false
	}
	return !strings.ContainsFunc(step, func(r rune) bool {
		return !(r == '-' || r == '_' || r == '.' || r == '~' || r < 0x80 && wordRune(r))
	})
}

// parameters redacts a query or a form, in its order.
func (m *marks) parameters(raw string, isFHIR bool, resource string) []Field {
	out := []Field{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if len(out) == maxFields {
			return append(out, Field{"‹more›", ""})
		}
		name, value, _ := strings.Cut(pair, "=")
		plainName, err := url.QueryUnescape(name)
		if err != nil {
			plainName = name
		}
		plainValue, err := url.QueryUnescape(value)
		if err != nil {
			plainValue = value
		}
		out = append(out, Field{m.name(plainName), cut(m.parameter(plainName, plainValue, isFHIR, resource), maxField)})
	}
	return out
}

func (m *marks) parameter(name, value string, isFHIR bool, resource string) string {
	if isFHIR {
		if r, ok := searchRules[name]; ok {
			return m.apply(r, value)
		}
		base, _, _ := strings.Cut(strings.TrimPrefix(name, "_has:"), ":")
		base, _, _ = strings.Cut(base, ".")
		switch {
		case speaksOfSecret(name):
			return m.secret(SomeToken, value)
		case base == "_id" && isType(resource):
			return m.list(value, func(id string) string { return m.secret(idOf(resource), id) })
		case base == "patient" || base == "subject":
			return m.list(value, func(id string) string { return m.reference(id, Patient) })
		case base == "encounter":
			return m.list(value, func(id string) string { return m.reference(id, Encounter) })
		}
		return m.list(value, m.private)
	}
	if r, ok := fieldRules[name]; ok {
		return m.apply(r, value)
	}
	if speaksOfSecret(name) {
		return m.secret(SomeToken, value)
	}
	return m.text(value)
}

// list redacts the values of a search parameter, which commas part.
func (m *marks) list(value string, each func(string) string) string {
	parts := strings.Split(value, ",")
	if len(parts) > 1 {
		m.private(value)
	}
	for i, p := range parts {
		// A code is known with its system and alone.
		if _, code, ok := strings.Cut(p, "|"); ok && code != "" {
			m.private(code)
		}
		parts[i] = each(p)
	}
	return strings.Join(parts, ",")
}

// reference redacts a FHIR reference: "Patient/1", a URL that ends so, or an
// id alone of the kind that is meant there.
func (m *marks) reference(value string, bare Kind) string {
	if value == "" {
		return ""
	}
	if strings.Contains(value, "://") {
		if u, err := url.Parse(value); err == nil && u.Host != "" {
			if _, rest := fhirBelow(u.EscapedPath()); rest != "" {
				return m.address(value).text
			}
		}
		return m.text(value)
	}
	if kind, id, ok := strings.Cut(value, "/"); ok && isType(kind) && !strings.Contains(id, "/") {
		return kind + "/" + m.secret(idOf(kind), id)
	}
	return m.secret(bare, value)
}
