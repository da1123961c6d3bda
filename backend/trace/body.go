package trace

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// message is a body to be redacted, with what is known of it.
type message struct {
	contentType string
	encoding    string // Content-Encoding that the client did not undo
	raw         []byte // as much as was captured
	size        int64
	whole       bool
	url         address
	// open tells that a public document was asked for, and without a credential.
	open    bool
	refused bool // status 400 and above
	limit   int
}

// body redacts a body. The captured bytes are not kept.
func (m *marks) body(in message) (Body, facts) {
	kind, _, err := mime.ParseMediaType(in.contentType)
	if err != nil || !plainMedia.MatchString(kind) {
		kind = ""
	}
	out := Body{MediaType: m.scrub(kind), Size: in.size, Form: []Field{}}
	var f facts
	switch {
	case in.size == 0:
		return out, f
	case in.encoding != "" && in.encoding != "identity":
		out.Text = "compressed data, " + size(in.size)
		return out, f
	case kind == "application/x-www-form-urlencoded":
		f.form, _ = url.ParseQuery(string(in.raw))
		if !in.whole {
			m.parameters(string(in.raw), in.url.isFHIR, in.url.fhir) // what is in it is to be known
			out.Text, out.LeftOut = "a form, "+size(in.size), "It is larger than what is looked into."
			return out, f
		}
		out.Form = m.parameters(strings.TrimSpace(string(in.raw)), in.url.isFHIR, in.url.fhir)
		var lines []string
		for _, field := range out.Form {
			lines = append(lines, field.Name+"="+field.Value)
		}
		out.Text = strings.Join(lines, "\n")
		if len(out.Text) > in.limit {
			out.Text, out.Form, out.LeftOut = "a form, "+size(in.size), []Field{}, "It is larger than what is kept of a body."
		}
		return out, f
	case strings.Contains(kind, "html"):
		out.Text = "a web page, " + size(in.size)
		if title := m.words(pageTitle(in.raw)); title != "" {
			out.Text += ", with the title: " + title
		}
		return out, f
	}
	n, whole, ok := parseJSON(in.raw)
	switch {
	case !ok && strings.Contains(kind, "json") && !strings.Contains(kind, "ndjson"):
		out.Text = "not readable as JSON, " + size(in.size)
		return out, f
	case !ok:
		out.Text = size(in.size)
		if kind != "" {
			out.Text = out.MediaType + ", " + out.Text
		}
		return out, f
	}
	f.json = n
	f.read(n)
	if !whole || !in.whole {
		m.value(n, nil, in.refused) // what is in it is to be known
		out.Text = "JSON, " + size(in.size)
		if isType(f.resourceType) {
			out.Text = f.resourceType + ", " + size(in.size)
		}
		out.LeftOut = "It is larger than what is looked into, or breaks off."
		return out, f
	}
	shape := n
	switch {
	case in.open && f.resourceType == "":
		shape = m.open(n, true)
	case in.open && f.resourceType == "CapabilityStatement":
		shape = m.open(n, false)
	case f.resourceType != "":
		if shape, ok = m.fhirBody(n); !ok {
			name := "a resource of an unknown type"
			if isType(f.resourceType) {
				name = f.resourceType
			}
			out.Text = name + ", " + size(in.size)
			return out, f
		}
	default:
		shape = m.value(n, nil, in.refused)
	}
	var isCut bool
	if out.Text, isCut = shape.printed(in.limit); isCut {
		out.LeftOut = fmt.Sprintf("It is longer: of %s, the first %s are kept.", size(in.size), size(int64(len(out.Text))))
	}
	return out, f
}

// facts are what a body tells of the exchange. They are used while it is
// redacted, and not kept.
type facts struct {
	form         url.Values
	json         node
	resourceType string
	active       bool // it has RFC 7662's member
	keys         bool // it is a JWK set
	registration bool // it is RFC 7591's metadata
}

func (f *facts) read(n node) {
	f.resourceType = n.get("resourceType").text
	f.active = n.get("active").kind == 't'
	f.keys = n.get("keys").kind == '['
	f.registration = n.get("redirect_uris").kind == '[' || n.get("software_id").kind == '"' || n.get("token_endpoint_auth_method").kind == '"'
}

// maxTitle bounds what is looked for the title of a page, in bytes.
const maxTitle = 64 << 10

// pageTitle gives the title of a web page.
func pageTitle(page []byte) string {
	z := html.NewTokenizer(bytes.NewReader(page[:min(len(page), maxTitle)]))
	for inside := false; ; {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken:
			name, _ := z.TagName()
			inside = string(name) == "title"
		case html.EndTagToken:
			inside = false
		case html.TextToken:
			if inside {
				return strings.TrimSpace(string(z.Text()))
			}
		}
	}
}

// size is a number of bytes in words.
func size(n int64) string {
	switch {
	case n < 0:
		return "of unknown size"
	case n < 1000:
		return plural(int(n), "%d byte", "%d bytes")
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1_000_000)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf(one, n)
	}
	return fmt.Sprintf(many, n)
}
