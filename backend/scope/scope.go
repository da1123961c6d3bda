// Package scope knows the SMART scope grammar, versions 1 and 2, and what
// scopes mean: which accesses one allows, how to say that in a sentence, how
// one set differs from another, and which set to ask for in a given context.
// It knows nothing of tokens, servers or storage. Source: SMART App Launch 2.2,
// "Scopes and Launch Context".
package scope

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Version is the permission grammar of a resource scope.
type Version int

// The two grammars: V1 has .read, .write and .*; V2 has the letters of "cruds".
const (
	V1 Version = 1
	V2 Version = 2
)

// Kind tells what a scope is about.
type Kind int

// The kinds of scope.
const (
	// Resource is patient/…, user/… or system/… with a resource type and a permission.
	Resource Kind = iota
	// Launch asks for launch context: launch, launch/patient, launch/encounter, …
	Launch
	// Identity is openid, fhirUser or profile.
	Identity
	// Duration is offline_access or online_access.
	Duration
	// Other is any other OAuth scope token, kept as it is.
	Other
)

// Permission is a set of the five accesses, in bits.
type Permission uint8

// The five accesses of SMART 2.
const (
	Create Permission = 1 << iota
	Read
	Update
	Delete
	Search
)

const letters = "cruds"

// String gives the letters of p in the order that the grammar asks for.
func (p Permission) String() string {
	var b strings.Builder
	for i, l := range letters {
		if p&(1<<i) != 0 {
			b.WriteRune(l)
		}
	}
	return b.String()
}

// Scope is one parsed scope.
type Scope struct {
	// Text is the scope exactly as written.
	Text string
	Kind Kind
	// Context is "patient", "user" or "system" for a Resource scope.
	Context string
	// Type is the FHIR resource type of a Resource scope, or "*"; for a Launch
	// scope it is what follows "launch/", or "" for the bare "launch".
	Type string
	// Permission and Version are set for a Resource scope.
	Permission Permission
	Version    Version
	// Query holds the search parameters of a granular v2 scope, or is nil.
	Query url.Values
	// Role is the value of ?role= on a Launch scope, or "".
	Role string
}

// String gives the scope as it was written.
func (s Scope) String() string { return s.Text }

// register is the scope of a sign-in whose token may register a copy of the app (Epic).
const register = "system/DynamicClient.register"

// Parse reads one scope. It fails where the text is no OAuth scope token
// (RFC 6749 section 3.3) or begins like a SMART scope and breaks its grammar.
func Parse(text string) (Scope, error) {
	if text == "" {
		return Scope{}, fmt.Errorf("a scope is empty")
	}
	for _, r := range text {
		if notInScope(r) {
			return Scope{}, fmt.Errorf("%q has a character that no scope may have: %q", text, r)
		}
	}
	switch text {
	case "openid", "fhirUser", "profile":
		return Scope{Text: text, Kind: Identity}, nil
	case "offline_access", "online_access":
		return Scope{Text: text, Kind: Duration}, nil
	case "launch":
		return Scope{Text: text, Kind: Launch}, nil
	case register:
		// Epic's dynamic client registration: it looks like a resource scope and is none.
		return Scope{Text: text, Kind: Other}, nil
	}
	head, rest, slash := strings.Cut(text, "/")
	if !slash {
		if hint := nearMiss(text); hint != "" {
			return Scope{}, fmt.Errorf("%q is not a scope: did you mean %q?", text, hint)
		}
		return Scope{Text: text, Kind: Other}, nil
	}
	switch head {
	case "patient", "user", "system":
		return parseResource(text, head, rest)
	case "launch":
		return parseLaunch(text, rest)
	case "Patient", "User", "System", "Launch", "PATIENT", "USER", "SYSTEM", "LAUNCH":
		return Scope{}, fmt.Errorf("%q: scopes are case-sensitive, write %q", text, strings.ToLower(head)+"/"+rest)
	}
	return Scope{Text: text, Kind: Other}, nil
}

func notInScope(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' }

// nearMiss names the identity or duration scope that text seems to misspell.
func nearMiss(text string) string {
	norm := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(text))
	for _, known := range []string{"openid", "fhirUser", "profile", "offline_access", "online_access", "launch"} {
		if norm == strings.ToLower(strings.ReplaceAll(known, "_", "")) {
			return known
		}
	}
	return ""
}

func parseResource(text, context, rest string) (Scope, error) {
	body, query, granular := strings.Cut(rest, "?")
	typ, perm, dot := strings.Cut(body, ".")
	if !dot {
		return Scope{}, fmt.Errorf("%q has no permission: write it as %s/%s.rs (SMART 2) or %s/%s.read (SMART 1)", text, context, orType(typ), context, orType(typ))
	}
	if typ != "*" && !isTypeName(typ) {
		return Scope{}, fmt.Errorf("%q: %q is no FHIR resource type (a capital, then letters) and not *", text, typ)
	}
	s := Scope{Text: text, Kind: Resource, Context: context, Type: typ}
	switch perm {
	case "read":
		s.Version, s.Permission = V1, Read|Search
	case "write":
		s.Version, s.Permission = V1, Create|Update|Delete
	case "*":
		s.Version, s.Permission = V1, Create|Read|Update|Delete|Search
	default:
		p, err := parseLetters(perm)
		if err != nil {
			return Scope{}, fmt.Errorf("%q: %w", text, err)
		}
		s.Version, s.Permission = V2, p
	}
	if !granular {
		return s, nil
	}
	if s.Version == V1 {
		return Scope{}, fmt.Errorf("%q: a SMART 1 scope cannot carry a query", text)
	}
	q, err := url.ParseQuery(query)
	if err != nil || len(q) == 0 {
		return Scope{}, fmt.Errorf("%q: what follows ? must be param=value pairs", text)
	}
	for name, values := range q {
		if name == "" || slices.Contains(values, "") {
			return Scope{}, fmt.Errorf("%q: what follows ? must be param=value pairs", text)
		}
	}
	s.Query = q
	return s, nil
}

func orType(typ string) string {
	if typ == "" {
		return "Patient"
	}
	return typ
}

func parseLetters(perm string) (Permission, error) {
	if perm == "" {
		return 0, fmt.Errorf("no permission follows the dot")
	}
	var p Permission
	last := -1
	for _, r := range perm {
		i := strings.IndexRune(letters, r)
		if i < 0 {
			return 0, fmt.Errorf("the permission %q is none of read, write, * and letters of %q", perm, letters)
		}
		if i <= last {
			return 0, fmt.Errorf("the permission letters of %q must each stand once and in the order %q", perm, letters)
		}
		last = i
		p |= 1 << i
	}
	return p, nil
}

func parseLaunch(text, rest string) (Scope, error) {
	typ, query, has := strings.Cut(rest, "?")
	if typ == "" {
		return Scope{}, fmt.Errorf("%q names no context: write launch/patient or launch/encounter", text)
	}
	for _, r := range typ {
		if r < 'a' || r > 'z' {
			return Scope{}, fmt.Errorf("%q: the context is written in lower case letters, as in launch/patient", text)
		}
	}
	s := Scope{Text: text, Kind: Launch, Type: typ}
	if has {
		q, err := url.ParseQuery(query)
		if err != nil || len(q) != 1 || q.Get("role") == "" {
			return Scope{}, fmt.Errorf("%q: only ?role=… may follow a launch context", text)
		}
		s.Role = q.Get("role")
	}
	return s, nil
}

// isTypeName tells whether s looks like a FHIR resource type. The list of
// types grows with each release, so the form is checked and not the list.
func isTypeName(s string) bool {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return true
}

// ParseList reads a space separated list. Duplicates are dropped; every bad
// entry is reported, and the good ones are returned beside the errors.
func ParseList(text string) (Set, []error) {
	var set Set
	var errs []error
	seen := map[string]bool{}
	for _, word := range strings.Fields(text) {
		if seen[word] {
			continue
		}
		seen[word] = true
		s, err := Parse(word)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		set = append(set, s)
	}
	return set, errs
}

// Grammar reads a list that a server sent: what cannot be parsed is kept as
// an Other scope, because a server's odd scope is no reason to fail. What has
// characters that no scope may have (RFC 6749 section 3.3) is dropped.
func Grammar(texts []string) Set {
	var set Set
	seen := map[string]bool{}
	for _, t := range texts {
		if t == "" || seen[t] || strings.ContainsFunc(t, notInScope) {
			continue
		}
		seen[t] = true
		s, err := Parse(t)
		if err != nil {
			s = Scope{Text: t, Kind: Other}
		}
		set = append(set, s)
	}
	return set
}
