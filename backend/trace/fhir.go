package trace

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// fhirBody gives what is kept of a resource: of an OperationOutcome its
// issues, of a Bundle its counts and links. Of every other there is its type
// and size alone, and ok is false.
func (m *marks) fhirBody(n node) (out node, ok bool) {
	switch n.get("resourceType").text {
	case "OperationOutcome":
		return m.outcome(n, true), true
	case "Bundle":
		return m.bundle(n), true
	}
	return node{}, false
}

// maxIssues bounds what is kept of an OperationOutcome.
const maxIssues = 20

var (
	elementPath = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.\[\]()':=_-]{0,200}$`)
	codeSystem  = regexp.MustCompile(`^(urn:oid:[0-9.]{1,100}|https?://[A-Za-z0-9./_-]{1,150})$`)
)

// outcome keeps the issues of an OperationOutcome. Its words are kept where it
// is the answer itself; among the entries of a Bundle they may be about a record.
func (m *marks) outcome(n node, spoken bool) node {
	out := node{kind: '{'}
	out.add("resourceType", words("OperationOutcome"))
	list := node{kind: '['}
	say := func(text string) node {
		if spoken {
			return words(m.clinicalWords(text))
		}
		return words(length(text))
	}
	for i, issue := range n.get("issue").items {
		if i == maxIssues {
			break
		}
		shown := node{kind: '{'}
		for _, name := range []string{"severity", "code"} {
			if v := issue.get(name); v.kind == '"' {
				shown.add(name, words(m.apply(rule{as: asWord}, v.text)))
			}
		}
		if details := issue.get("details"); details.kind == '{' {
			d := node{kind: '{'}
			codings := node{kind: '['}
			for i, c := range details.get("coding").items {
				if i == maxIssues {
					break
				}
				coding := node{kind: '{'}
				if v := c.get("system"); v.kind == '"' {
					if codeSystem.MatchString(v.text) {
						coding.add("system", words(m.scrub(v.text)))
					} else {
						coding.add("system", words(m.text(v.text)))
					}
				}
				if v := c.get("code"); v.kind == '"' {
					coding.add("code", words(m.apply(rule{as: asWord}, v.text)))
				}
				if v := c.get("display"); v.kind == '"' {
					coding.add("display", say(v.text))
				}
				codings.items = append(codings.items, coding)
			}
			if len(codings.items) > 0 {
				d.add("coding", codings)
			}
			if v := details.get("text"); v.kind == '"' {
				d.add("text", say(v.text))
			}
			shown.add("details", d)
		}
		if v := issue.get("diagnostics"); v.kind == '"' {
			shown.add("diagnostics", say(v.text))
		}
		for _, name := range []string{"location", "expression"} {
			paths := node{kind: '['}
			for _, v := range issue.get(name).items {
				if v.kind != '"' || len(paths.items) == maxIssues {
					continue
				}
				if elementPath.MatchString(v.text) && !looksOpaque(v.text) {
					paths.items = append(paths.items, words(m.scrub(v.text)))
				} else {
					paths.items = append(paths.items, words(m.text(v.text)))
				}
			}
			if len(paths.items) > 0 {
				shown.add(name, paths)
			}
		}
		list.items = append(list.items, shown)
	}
	out.add("issue", list)
	return out
}

// clinicalWords is words for what a FHIR server says, which may name a person:
// a word with a capital that is no known one and begins no sentence goes too,
// and the word before it where that begins one.
func (m *marks) clinicalWords(text string) string {
	return outside(m.words(text), func(piece string) string { return besides(piece, unnamed) })
}

func unnamed(text string) string {
	fields := strings.Split(text, " ")
	start := true
	for i, field := range fields {
		word := strings.TrimFunc(field, func(r rune) bool { return !wordRune(r) })
		if suspect(word) && (!start || i+1 < len(fields) && suspect(strings.Trim(fields[i+1], ".,;:!?\"'()"))) {
			fields[i] = strings.Replace(field, word, "‹word›", 1)
			start = false // not after “Dr.” either
			continue
		}
		start = word == "" && start || strings.HasSuffix(field, ".") || strings.HasSuffix(field, ":") || strings.HasSuffix(field, "!") || strings.HasSuffix(field, "?")
	}
	return strings.Join(fields, " ")
}

// suspect tells whether a word may be a name: it has a capital where names
// have one, or nothing else, and is none that servers use for other things.
func suspect(word string) bool {
	if isType(word) || commonWords[lower(word)] {
		return false
	}
	first, inner, lowers := false, 0, 0
	for i, r := range word {
		switch {
		case i == 0:
			first = unicode.IsUpper(r)
		case unicode.IsUpper(r):
			inner++
		case unicode.IsLower(r):
			lowers++
		}
	}
	// MixedCase is of programs; McCoy and O'Neil have one capital more.
	return first && (lowers == 0 && inner > 1 || lowers > 0 && (inner == 0 || inner == 1 && len(word) <= 12))
}

// commonWords are written with a capital in the errors of servers.
var commonWords = func() map[string]bool {
	out := map[string]bool{}
	for word := range strings.FieldsSeq(`a access an api argument authentication authorization bad bearer bundle client code conflict content could denied element entry error exception expired
		failed fatal fhir field forbidden found gateway get header html http https id identifier internal invalid is java json jwt loinc malformed method missing must no not null oauth
		object operation outcome parameter patient permission please post process put r4 read reference request required resource response rest scope search server service smart snomed
		the this timeout to token type unauthorized unavailable unknown unsupported update uri url user utc validation value version was when with write xml your`) {
		out[word] = true
	}
	return out
}()

// bundle keeps what kind of answer a search gave and how much of what.
func (m *marks) bundle(n node) node {
	out := node{kind: '{'}
	out.add("resourceType", words("Bundle"))
	if v := n.get("type"); v.kind == '"' {
		out.add("type", words(m.apply(rule{as: asWord}, v.text)))
	}
	if v := n.get("total"); v.kind == '0' && plainNumber.MatchString(v.text) {
		out.add("total", v)
	}
	links := node{kind: '['}
	for i, l := range n.get("link").items {
		if i == maxIssues {
			break
		}
		link := node{kind: '{'}
		link.add("relation", words(m.apply(rule{as: asWord}, l.get("relation").text)))
		link.add("url", words(m.address(l.get("url").text).text))
		links.items = append(links.items, link)
	}
	if len(links.items) > 0 {
		out.add("link", links)
	}
	counts, order := map[string]int{}, []string{}
	outcomes := node{kind: '['}
	for _, e := range n.get("entry").items {
		resource := e.get("resource")
		name := resource.get("resourceType").text
		if !isType(name) {
			name = "of another kind"
		}
		if counts[name]++; counts[name] == 1 {
			order = append(order, name)
		}
		if name == "OperationOutcome" && len(outcomes.items) < maxIssues {
			outcomes.items = append(outcomes.items, m.outcome(resource, false))
		}
	}
	entries := node{kind: '{'}
	for _, name := range order {
		entries.add(name, node{kind: '0', text: strconv.Itoa(counts[name])})
	}
	out.add("‹entries›", entries)
	if len(outcomes.items) > 0 {
		out.add("‹outcomes›", outcomes)
	}
	return out
}

// baseOf gives the FHIR base URL of a URL that ends in one of its documents.
func baseOf(raw string) (string, bool) {
	raw, _, _ = strings.Cut(raw, "?")
	for _, end := range []string{"/.well-known/smart-configuration", "/metadata"} {
		if base, ok := strings.CutSuffix(raw, end); ok {
			return base, true
		}
	}
	return "", false
}
