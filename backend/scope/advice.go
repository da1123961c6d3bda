package scope

import "slices"

// BothContexts is why patient/ and user/ should not be asked for at once, and
// BothContextsAdvice what to do.
const (
	BothContexts = "The scopes ask for patient/ and user/ at once. A server may refuse that, or grant only one of the two; and where it grants both, user/ opens every record that the person may see, " +
		"so patient/ no longer keeps the access to one patient."
	BothContextsAdvice = "Ask for one: patient/ for one patient's record, user/ for what a clinician may see."
)

// NoUser is the audience of a backend service.
const NoUser = "service"

// Mixed tells whether the set asks for patient/ and user/ at once.
func (set Set) Mixed() bool {
	c := set.contexts()
	return slices.Contains(c, "patient") && slices.Contains(c, "user")
}

// Warnings says in sentences what to think over before a set is asked for.
// launch tells that it is for an EHR launch, audience who signs in: "patient",
// "provider" or, for a backend service, NoUser.
func (set Set) Warnings(audience string, launch bool) []string {
	out, signIn := []string{}, audience != NoUser
	say := func(is bool, sentence string) {
		if is {
			out = append(out, sentence)
		}
	}
	some := func(is func(Scope) bool) bool { return slices.ContainsFunc(set, is) }
	resource := func(is func(Scope) bool) bool { return some(func(s Scope) bool { return s.Kind == Resource && is(s) }) }
	asksPatient := some(func(s Scope) bool { return s.Kind == Launch && s.Type == "patient" })

	say(set.Mixed(), BothContexts+" "+BothContextsAdvice)
	say(signIn && resource(func(s Scope) bool { return s.Context == "system" }), "system/ scopes are for a service that works with no person signed in. In a sign-in a server refuses or ignores them.")
	say(resource(func(s Scope) bool { return s.Permission&(Create|Update|Delete) != 0 }),
		"Some scopes let the app change records (create, update, delete). Chartkey only reads, so it asks for more than it uses.")
	say(resource(func(s Scope) bool { return s.Type == "*" }), "A wildcard (*) asks for every kind of data. Name the types that are used instead: people allow less more readily, and some servers refuse a wildcard.")
	say(signIn && !set.Has("openid"), "openid is not among the scopes, so it will not be known who signed in.")
	say(set.Has("openid") && !set.Has("fhirUser") && !set.Has("profile"), "fhirUser is not among the scopes, so it may not be known which Patient or Practitioner signed in.")
	say(set.Has("offline_access") && set.Has("online_access"), "offline_access and online_access contradict each other. Ask for one.")
	if !launch {
		say(set.Has("launch"), "launch is for an EHR launch. A sign-in from outside the EHR asks for launch/patient.")
		say(resource(func(s Scope) bool { return s.Context == "patient" }) && !asksPatient && audience == "provider",
			"patient/ scopes of a provider need a patient: without launch/patient none is chosen at the sign-in.")
		say(resource(func(s Scope) bool { return s.Context == "patient" }) && !asksPatient && audience == "patient",
			"patient/ scopes need a patient: without launch/patient a server may name none, even where the patient signs in.")
	}
	say(resource(func(s Scope) bool { return s.Context == "user" }) && !set.Mixed() && audience == "patient",
		"user/ scopes in a patient's sign-in reach what that account may see, which can be more than one record. patient/ scopes keep to one.")
	if twice := set.needless(); len(twice) > 0 {
		say(true, "More is named than needed, as other scopes of the set say it already: "+and(twice)+".")
	}
	return out
}

// needless gives the resource scopes that the rest of the set covers.
func (set Set) needless() []string {
	var out []string
	rest := slices.Clone(set)
	for _, s := range set {
		i := slices.IndexFunc(rest, func(r Scope) bool { return r.Text == s.Text })
		without := slices.Delete(slices.Clone(rest), i, i+1)
		if s.Kind == Resource && without.Covers(s) {
			rest = without
			out = append(out, visible(s.Text))
		}
	}
	return out
}

// Support is what a server says of a scope.
type Support string

// What a server may say. Its list is no full one: it may grant what it does
// not list (SMART App Launch 2.2, "Conformance", scopes_supported).
const (
	// Listed: the server lists the scope, or one that covers it.
	Listed Support = "listed"
	// NotListed: the server lists others of its kind, and not this one.
	NotListed Support = "not_listed"
	// NotTold: the server lists none of its kind.
	NotTold Support = "not_told"
)

// Supports tells what a server that lists set says of a scope.
func (set Set) Supports(s Scope) Support {
	set, s = set.bare(), s.bare()
	if set.Covers(s) {
		return Listed
	}
	if slices.ContainsFunc(set, func(l Scope) bool { return l.Kind == s.Kind && l.Context == s.Context && s.Kind != Other }) {
		return NotListed
	}
	return NotTold
}
