package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// maxDepth bounds how deep JSON may be nested, and maxListed how many items of
// a list are shown.
const (
	maxDepth  = 32
	maxListed = 40
)

// node is a JSON value whose members keep their order, as a reader compares
// what is shown with what a server's log says.
type node struct {
	kind    rune // '{', '[', '"', '0' for a number, 't' for true, false and null
	text    string
	members []member
	items   []node
}

type member struct {
	name  string
	value node
}

func (n node) get(name string) node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return node{}
}

func (n *node) add(name string, value node) {
	n.members = append(n.members, member{name, value})
}

func words(text string) node { return node{kind: '"', text: text} }

// parseJSON reads one JSON value. Of one that is cut off it gives what there
// is of the outermost object, and whole as false.
func parseJSON(b []byte) (n node, whole, ok bool) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
	d.UseNumber()
	n, err := readNode(d, 0)
	if err != nil {
		return n, false, n.kind == '{' && len(n.members) > 0
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return node{}, false, false
	}
	return n, true, true
}

func readNode(d *json.Decoder, depth int) (node, error) {
	t, err := d.Token()
	if err != nil {
		return node{}, err
	}
	switch v := t.(type) {
	case string:
		return words(v), nil
	case json.Number:
		return node{kind: '0', text: v.String()}, nil
	case bool:
		if v {
			return node{kind: 't', text: "true"}, nil
		}
		return node{kind: 't', text: "false"}, nil
	case nil:
		return node{kind: 't', text: "null"}, nil
	case json.Delim:
		if depth >= maxDepth {
			return node{}, errors.New("nested too deep")
		}
		n := node{kind: rune(v)}
		for d.More() {
			if v == '[' {
				item, err := readNode(d, depth+1)
				if err != nil {
					return n, err
				}
				n.items = append(n.items, item)
				continue
			}
			name, err := d.Token()
			if err != nil {
				return n, err
			}
			value, err := readNode(d, depth+1)
			if err != nil {
				return n, err
			}
			word, _ := name.(string)
			n.add(word, value)
		}
		_, err := d.Token()
		return n, err
	}
	return node{}, errors.New("no JSON")
}

// printed writes a value with indents, at most limit bytes of it, cut between lines.
func (n node) printed(limit int) (text string, cut bool) {
	p := printer{limit: limit}
	p.write(n, "")
	if !p.full {
		return p.b.String(), false
	}
	text = p.b.String()
	if len(text) > limit {
		text = text[:max(0, strings.LastIndexByte(text[:limit], '\n'))]
	}
	return text, true
}

type printer struct {
	b     strings.Builder
	limit int
	full  bool
}

func (p *printer) write(n node, indent string) {
	if p.full = p.full || p.b.Len() > p.limit; p.full {
		return
	}
	inner := indent + "  "
	switch n.kind {
	case '{', '[':
		end := "}"
		if n.kind == '[' {
			end = "]"
		}
		p.b.WriteRune(n.kind)
		for i, m := range n.members {
			p.separate(i, inner)
			p.b.WriteString(quoted(m.name) + ": ")
			p.write(m.value, inner)
		}
		for i, item := range n.items {
			p.separate(i, inner)
			p.write(item, inner)
		}
		if len(n.members)+len(n.items) > 0 {
			p.b.WriteString("\n" + indent)
		}
		p.b.WriteString(end)
	case '"':
		p.b.WriteString(quoted(n.text))
	default:
		p.b.WriteString(n.text)
	}
	p.full = p.full || p.b.Len() > p.limit
}

func (p *printer) separate(i int, indent string) {
	if i > 0 {
		p.b.WriteByte(',')
	}
	p.b.WriteString("\n" + indent)
}

func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can be
	return strings.TrimSuffix(b.String(), "\n")
}

// members redacts an object by the names of its members. refused tells that it
// came with a refusal, whose words are worth more.
func (m *marks) object(n node, refused bool) node {
	out := node{kind: '{'}
	for _, mem := range n.members {
		r, ok := fieldRules[mem.name]
		if !ok && refused {
			r, ok = spokenRules[mem.name]
		}
		var as *rule
		switch {
		case ok:
			as = &r
		case speaksOfSecret(mem.name):
			as = &rule{kind: SomeToken}
		}
		out.add(m.name(mem.name), m.value(mem.value, as, refused))
	}
	return out
}

// value redacts a value by a rule; without one, everything in it is unknown.
func (m *marks) value(n node, as *rule, refused bool) node {
	switch n.kind {
	case '{':
		if as == nil || as.as != asSecret {
			return m.object(n, refused)
		}
		out := node{kind: '{'}
		for _, mem := range n.members {
			out.add(m.name(mem.name), m.value(mem.value, as, refused))
		}
		return out
	case '[':
		out := node{kind: '['}
		for i, item := range n.items {
			if done := m.value(item, as, refused); i < maxListed {
				out.items = append(out.items, done)
			}
		}
		if more := len(n.items) - maxListed; more > 0 {
			out.items = append(out.items, words(plural(more, "‹%d more›", "‹%d more›")))
		}
		return out
	case '"':
		if as == nil {
			return words(m.text(n.text))
		}
		return words(m.apply(*as, n.text))
	case '0':
		switch {
		case as != nil && as.as == asNumber:
			if kept := m.apply(*as, n.text); kept == n.text {
				return n
			}
			return words("‹number›")
		case as != nil && refused && as.kind == Code && len(n.text) <= 3: // an HTTP status, in the errors of some gateways
			return n
		case as != nil && (as.as == asSecret || as.as == asRefers):
			return words(m.secret(as.kind, n.text))
		case as != nil && as.as == asWord && len(n.text) <= 4: // a status
			return n
		}
		m.text(n.text) // it may be somebody's
		return words("‹number›")
	}
	return n
}

// open keeps a document that is public, without the known values. What stands
// in its place by mistake may have secrets under their names; a
// CapabilityStatement gives those names to other things.
func (m *marks) open(n node, named bool) node {
	out := node{kind: n.kind, text: n.text}
	if n.kind == '"' {
		out.text = m.scrub(n.text)
	}
	for _, mem := range n.members {
		r, ok := fieldRules[mem.name]
		if named && (ok && r.as == asSecret || speaksOfSecret(mem.name) && looksOpaque(mem.value.text)) {
			if !ok {
				r = rule{kind: SomeToken}
			}
			out.add(m.name(mem.name), m.value(mem.value, &r, false))
			continue
		}
		out.add(m.scrub(mem.name), m.open(mem.value, named))
	}
	for _, item := range n.items {
		out.items = append(out.items, m.open(item, named))
	}
	return out
}
