package scope

import (
	"slices"
	"strings"
)

// Set is a list of scopes, in the order they were written.
type Set []Scope

// Strings gives the scopes as written.
func (set Set) Strings() []string {
	out := make([]string, len(set))
	for i, s := range set {
		out[i] = s.Text
	}
	return out
}

// String gives the set as it travels: separated by single spaces.
func (set Set) String() string { return strings.Join(set.Strings(), " ") }

// Has tells whether the set holds a scope with exactly this text.
func (set Set) Has(text string) bool {
	return slices.ContainsFunc(set, func(s Scope) bool { return s.Text == text })
}

// Allows tells whether the set lets a client with the given context
// ("patient", "user" or "system") use permission p on the whole of a resource
// type. Granular scopes allow a part only, so they do not count.
func (set Set) Allows(context, typ string, p Permission) bool {
	return set.missing(context, typ, p, nil) == 0
}

// Restrictions gives the granular scopes of the set that allow p on part of a
// type. A server uses them to narrow an answer.
func (set Set) Restrictions(context, typ string, p Permission) Set {
	var out Set
	for _, s := range set {
		if s.Kind == Resource && s.Context == context && (s.Type == typ || s.Type == "*") && s.Query != nil && s.Permission&p == p {
			out = append(out, s)
		}
	}
	return out
}

// missing gives the bits of p that no scope of the set allows. A scope with a
// query counts only for the same or a narrower query.
func (set Set) missing(context, typ string, p Permission, query map[string][]string) Permission {
	for _, s := range set {
		if s.Kind != Resource || s.Context != context || (s.Type != "*" && s.Type != typ) {
			continue
		}
		if s.Query == nil || (query != nil && within(query, s.Query)) {
			p &^= s.Permission
		}
	}
	return p
}

// within tells whether every restriction of outer also stands in inner, there
// or narrower: fewer codes in a list, or a code with its system (FHIR R4,
// "token" search parameters).
func within(inner, outer map[string][]string) bool {
	for name, values := range outer {
		for _, v := range values {
			if !slices.ContainsFunc(inner[name], func(i string) bool { return narrower(i, v) }) {
				return false
			}
		}
	}
	return true
}

func narrower(inner, outer string) bool {
	of := strings.Split(outer, ",")
	for one := range strings.SplitSeq(inner, ",") {
		_, code, _ := strings.Cut(one, "|")
		if !slices.Contains(of, one) && (code == "" || !slices.Contains(of, code)) {
			return false
		}
	}
	return true
}

// Covers tells whether holding set is as good as holding want, by meaning:
// v1 equals its v2 form, a wildcard covers each type, letters may be spread
// over several scopes, and order does not matter. profile and fhirUser stand
// for each other, as SMART 1 had it.
func (set Set) Covers(want Scope) bool {
	if set.Has(want.Text) {
		return true
	}
	switch want.Kind {
	case Resource:
		return set.missing(want.Context, want.Type, want.Permission, want.Query) == 0
	case Launch:
		return slices.ContainsFunc(set, func(s Scope) bool { return s.Kind == Launch && s.Type == want.Type && s.Role == want.Role })
	case Identity:
		return (want.Text == "fhirUser" && set.Has("profile")) || (want.Text == "profile" && set.Has("fhirUser"))
	}
	return false
}

// CoversAll tells whether set covers every scope of want.
func (set Set) CoversAll(want Set) bool {
	return !slices.ContainsFunc(want, func(s Scope) bool { return !set.Covers(s) })
}

// Without gives the scopes of set that other does not cover.
func (set Set) Without(other Set) Set {
	var out Set
	for _, s := range set {
		if !other.Covers(s) {
			out = append(out, s)
		}
	}
	return out
}

// In gives the set written in another version of the grammar. Scopes that
// version 1 cannot say exactly are widened to the next it can: .r becomes
// .read, .u becomes .write, and a granular scope loses its query.
func (set Set) In(v Version) Set {
	var out Set
	for _, s := range set {
		if s.Kind == Resource && s.Version != v {
			s = s.in(v)
		}
		if !out.Has(s.Text) {
			out = append(out, s)
		}
	}
	return out
}

func (s Scope) in(v Version) Scope {
	perm := s.Permission.String()
	if v == V1 {
		reads, writes := s.Permission&(Read|Search) != 0, s.Permission&(Create|Update|Delete) != 0
		switch {
		case reads && writes:
			perm = "*"
		case writes:
			perm = "write"
		default:
			perm = "read"
		}
	}
	out, err := Parse(s.Context + "/" + s.Type + "." + perm)
	if err != nil {
		return s
	}
	return out
}

// readable are the resource types that the default sets ask to read: those a
// patient's summary is drawn from, and no wildcard (SMART "Best practices":
// ask for the least).
var readable = []string{
	"AllergyIntolerance", "Condition", "DiagnosticReport", "DocumentReference", "Encounter",
	"Immunization", "MedicationRequest", "Observation", "Procedure",
}

// Choices are what a registration says of itself that its scopes follow from.
type Choices struct {
	// Audience is who signs in: "patient" or "provider".
	Audience string
	// PatientNeeded has a provider choose a patient at the sign-in. A patient's
	// own sign-in names one in any case.
	PatientNeeded bool
	// OfflineAccess asks for access that outlasts the sign-in.
	OfflineAccess bool
	// Version is the grammar that the server knows.
	Version Version
}

// Default gives the set to ask for at a standalone sign-in where the
// registration names none: patient/ with launch/patient for a patient's
// account, user/ for a provider's. The two are never mixed.
func (c Choices) Default() Set {
	context, texts := "user", []string{"openid", "fhirUser"}
	if c.OfflineAccess {
		texts = append(texts, "offline_access")
	}
	if c.Audience == "patient" {
		context = "patient"
	}
	if c.Audience == "patient" || c.PatientNeeded {
		texts = append(texts, "launch/patient")
	}
	texts = append(texts, context+"/Patient.rs", context+"/Practitioner.r")
	for _, typ := range readable {
		texts = append(texts, context+"/"+typ+".rs")
	}
	return Grammar(texts).In(c.Version)
}

// Service gives the set that a backend service asks for where its registration
// names none: the same types, for nobody's account and with no launch (SMART App
// Launch 2.2, "Backend Services").
func Service(v Version) Set {
	texts := []string{"system/Patient.rs", "system/Practitioner.r"}
	for _, typ := range readable {
		texts = append(texts, "system/"+typ+".rs")
	}
	return Grammar(texts).In(v)
}

// ForService tells whether a backend service can ask for a scope: for what
// concerns no user.
func (s Scope) ForService() bool {
	return s.Kind == Other || (s.Kind == Resource && s.Context == "system")
}

// ForLaunch gives the set as an EHR launch asks for it: "launch" in place of
// the context scopes of a standalone launch, because the EHR has chosen patient
// and encounter already (SMART App Launch 2.2, "EHR launch").
func (set Set) ForLaunch() Set {
	out := Grammar([]string{"launch"})
	for _, s := range set {
		if s.Kind == Launch && (s.Type == "" || s.Type == "patient" || s.Type == "encounter") {
			continue
		}
		if s.Text == register { // a workstation registers itself for what a person signs in to, not for each chart
			continue
		}
		out = append(out, s)
	}
	return out
}
