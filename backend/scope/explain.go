package scope

import "strings"

// whose says how far the context of a resource scope reaches.
var whose = map[string]string{
	"patient": " of the connected patient",
	"user":    ", wherever the person who signs in may",
	"system":  ", wherever the app itself may, with no person signed in",
}

// known are the scopes that mean one thing each. Those of Epic are from its
// published metadata and its documentation of dynamic clients.
var known = map[string]string{
	"launch":           "Learn what is open in the EHR when it launches the app: the patient, the encounter and why.",
	"launch/patient":   "Have a patient chosen at the sign-in, and learn which one.",
	"launch/encounter": "Have an encounter chosen at the sign-in, and learn which one.",
	"openid":           "Learn who signed in, in a statement that the server signs (an id_token).",
	"fhirUser":         "Learn which resource stands for the person who signed in, such as a Patient or a Practitioner.",
	"profile":          "Learn which resource stands for the person who signed in, as SMART 1 asked for it.",
	"offline_access":   "Stay connected: renew the access with a refresh token, also when nobody is signed in at the EHR.",
	"online_access":    "Stay connected while the person is signed in at the EHR: renew the access with a refresh token until then.",

	"system/DynamicClient.register": "Register this copy of the app at Epic as a client of its own, once and right after the sign-in; it opens no record.",
	"epic.scanning.dmsusername":     "Learn the person's user name in the document system behind Epic's scanning.",
}

// Explain says in one plain sentence what a scope asks for.
func Explain(s Scope) string {
	s = s.bare()
	if sentence, ok := known[s.Text]; ok {
		return sentence
	}
	switch s.Kind {
	case Resource:
		thing := what(s.Type, s.Query)
		if gloss := glosses[s.Type]; gloss != "" && len(s.Query) == 0 {
			thing += ", " + gloss
			if !strings.HasPrefix(whose[s.Context], ",") {
				thing += ","
			}
		}
		return capital(s.Permission.words(verbs)) + " " + thing + whose[s.Context] + "."
	case Launch:
		as := ""
		if s.Role != "" {
			as = " in the role " + visible(s.Role)
		}
		return "Have a resource of the type " + s.Type + " chosen at the sign-in or by the EHR" + as + ", and learn which one."
	}
	if strings.HasPrefix(s.Text, "epic.") {
		return "Something of Epic's own, which its documentation explains; it is no part of SMART."
	}
	return "Something of the server's own, which its documentation explains; it is no part of SMART."
}

// The prefixes of the URI form of scopes (SMART App Launch 2.2, "Scopes and
// Launch Context", "Appendix: URI representation of scopes").
const (
	smartURI  = "http://smarthealthit.org/fhir/scopes/"
	openIDURI = "http://openid.net/specs/openid-connect-core-1_0#"
)

// bare gives the scope that the URI form of one stands for, or the scope itself.
func (s Scope) bare() Scope {
	if s.Kind != Other {
		return s
	}
	for _, prefix := range []string{smartURI, openIDURI} {
		if rest, ok := strings.CutPrefix(s.Text, prefix); ok {
			if out, err := Parse(rest); err == nil {
				return out
			}
		}
	}
	return s
}
