package simulator

import (
	"fmt"
	"slices"
	"strings"

	"chartkey/backend/scope"
)

// offered gives what may be granted of the scopes that an app asks for, in the
// contexts of a person or of a service. This
// server only reads, so what would write is taken out; what it does not know
// is dropped, as RFC 6749 section 3.3 lets a server do. A scope that breaks
// the grammar, or a request of which nothing is left, is invalid_scope.
func (s *Server) offered(client Client, asked string, contexts ...string) (granted scope.Set, dropped []string, oerr *oauthError) {
	if strings.TrimSpace(asked) == "" {
		return nil, nil, refuse("invalid_scope", "scope is missing")
	}
	set, errs := scope.ParseList(asked)
	if len(errs) > 0 {
		return nil, nil, refuse("invalid_scope", "%s", ascii(errs[0].Error()))
	}
	var limit scope.Set
	if client.Scopes != "" {
		limit, _ = scope.ParseList(client.Scopes)
	}
	for _, sc := range set {
		offer, ok := s.offer(sc)
		ok = ok && (sc.Kind != scope.Resource || slices.Contains(contexts, sc.Context))
		if ok && limit != nil && !limit.Covers(offer) {
			ok = false
		}
		if !ok {
			dropped = append(dropped, sc.Text)
			continue
		}
		if !granted.Has(offer.Text) {
			granted = append(granted, offer)
		}
	}
	if len(granted) == 0 {
		return nil, nil, refuse("invalid_scope", "none of the scopes is on offer here")
	}
	return granted, dropped, nil
}

// offer gives the part of one scope that this server supports.
func (s *Server) offer(sc scope.Scope) (scope.Scope, bool) {
	switch sc.Kind {
	case scope.Other:
		return sc, sc.Text == registerScope
	case scope.Identity, scope.Duration:
		return sc, true
	case scope.Launch:
		return sc, sc.Type == "" || ((sc.Type == "patient" || sc.Type == "encounter") && sc.Role == "")
	case scope.Resource:
		if sc.Type != "*" && !slices.Contains(resourceTypes(), sc.Type) {
			return sc, false
		}
		for name, values := range sc.Query {
			if sc.Type == "*" {
				return sc, false
			}
			p, ok := searchParameters(sc.Type)[name]
			if !ok {
				return sc, false
			}
			for _, v := range values {
				if _, err := p.matcher("", v); err != nil {
					return sc, false
				}
			}
		}
		reads := sc.Permission & (scope.Read | scope.Search)
		if reads == 0 {
			return sc, false
		}
		if reads == sc.Permission {
			return sc, true
		}
		permission := reads.String()
		if sc.Version == scope.V1 {
			permission = "read"
		}
		text := sc.Context + "/" + sc.Type + "." + permission
		if _, query, granular := strings.Cut(sc.Text, "?"); granular {
			text += "?" + query
		}
		out, err := scope.Parse(text)
		return out, err == nil
	}
	return sc, false
}

// ascii keeps to the characters that error_description may have (RFC 6749 section 4.1.2.1).
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, text)
}

// needsPatient tells whether a patient must be chosen before the scopes mean anything.
func needsPatient(set scope.Set) bool {
	return slices.ContainsFunc(set, func(s scope.Scope) bool {
		return (s.Kind == scope.Launch && (s.Type == "patient" || s.Type == "encounter")) || (s.Kind == scope.Resource && s.Context == "patient")
	})
}

// describe puts a scope into a sentence for the person who is asked for it.
func describe(s scope.Scope, app string) string {
	switch s.Text {
	case "openid":
		return "Know that it is you who signed in"
	case "fhirUser", "profile":
		return "See who you are in the record"
	case "offline_access":
		return "Keep this access when you are not using " + app + ", until you end it"
	case "online_access":
		return "Keep this access while you are signed in here"
	case "launch":
		return "Know what is open in the EHR: the patient, the visit and why the app was launched"
	case registerScope:
		return "Register this copy of " + app + ", so that it may sign in again without you"
	case "launch/patient":
		return "Know which patient was chosen"
	case "launch/encounter":
		return "Know which visit was chosen"
	}
	verb := "Read and search"
	switch s.Permission & (scope.Read | scope.Search) {
	case scope.Read:
		verb = "Read"
	case scope.Search:
		verb = "Search"
	}
	what := "everything"
	if s.Type != "*" {
		what = resourceWords(s.Type)
	}
	whose := "in the chosen record"
	if s.Context == "user" {
		whose = "in every record that you may see"
	}
	sentence := fmt.Sprintf("%s %s %s", verb, what, whose)
	if len(s.Query) > 0 {
		var only []string
		for name, values := range s.Query {
			for _, v := range values {
				if _, code, found := strings.Cut(v, "|"); found {
					v = code
				}
				only = append(only, name+" "+v)
			}
		}
		slices.Sort(only)
		sentence += ", only with " + strings.Join(only, " and ")
	}
	return sentence
}
