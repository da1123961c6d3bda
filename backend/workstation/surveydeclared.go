package workstation

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
)

// missingMeans is what it means for the person who connects that a server
// does not declare a capability which the registration relies on.
var missingMeans = map[string]string{
	"launch-standalone":              "Connecting from Chartkey may be refused. It may be that the app can only be started from the EHR.",
	"launch-ehr":                     "The app cannot be started from the EHR's screen; connecting from Chartkey is the way in.",
	"client-public":                  "The server may insist on a client secret or key, and refuse this registration as it is.",
	"client-confidential-symmetric":  "The server may refuse the client secret.",
	"client-confidential-asymmetric": "The server may refuse what is signed with this registration's key.",
	"sso-openid-connect":             "Who signed in may stay unknown.",
	"permission-offline":             "Access may end with the access token, often after an hour, and need a new sign-in.",
	"permission-online":              "Access may end with the access token, often after an hour, and need a new sign-in.",
	"permission-patient":             "The server may refuse patient/ scopes, so patients may not be able to connect.",
	"permission-user":                "The server may refuse user/ scopes, so clinicians may not be able to connect.",
	"permission-v2":                  "Scopes in the grammar of SMART 2 may be refused or dropped.",
	"context-standalone-patient":     "No patient may be chosen at the sign-in, so the app may not know whose chart it reads.",
	"context-standalone-encounter":   "No encounter may be chosen at the sign-in.",
}

// capabilities compares what the server declares with what the registration needs.
func (s *surveyor) capabilities(context.Context) {
	if !s.told {
		if s.found {
			s.tell(SurveyItem{ID: "capabilities", Title: "What the server can do", Result: Info, Declared: "Nothing: there is no SMART configuration.",
				Seen: "This registration needs " + needed(needs(s.reg, s.scopes)) + ".", Meaning: "Only trying shows whether it works."})
		}
		return
	}
	all := needs(s.reg, s.scopes)
	if s.reg.Kind == KindApp {
		all = append(all, need{"launch-ehr", "launches from the EHR"})
	}
	for _, n := range all {
		item := SurveyItem{ID: "capability-" + n.capability, Title: "It declares " + n.what, Result: Pass, Declared: n.capability + " is listed.", Seen: "This registration needs it.", Meaning: "Nothing speaks against it."}
		optional := n.capability == "launch-ehr"
		if optional {
			item.Seen = "Chartkey can use it."
		}
		if !s.cfg.Has(n.capability) {
			item.Result, item.Declared, item.Meaning = Warning, n.capability+" is not listed.", missingMeans[n.capability]
			item.Advice = "Servers do not always list all they can. If connecting fails, this is the place to look; ask the server's operator."
			if optional {
				item.Result = Info
			}
		}
		s.tell(item)
	}
	if why := offlineLeftOut(s.reg, s.cfg); why != "" {
		s.tell(SurveyItem{ID: "offline-access", Title: "Access lasts beyond the sign-in", Result: Warning, Declared: "Nothing of it speaks for lasting access to this kind of app.",
			Seen: "The registration asks for it.", Meaning: why, Advice: "Turn offline access off in the registration, or register the app as confidential if the EHR then gives it."})
	}
	s.grammar()
	s.listedScopes()
}

func needed(all []need) string {
	var out []string
	for _, n := range all {
		out = append(out, n.what)
	}
	return strings.Join(out, ", ")
}

// grammar looks at the versions of the scope grammar.
func (s *surveyor) grammar() {
	var declared []string
	for _, v := range []string{"permission-v1", "permission-v2"} {
		if s.cfg.Has(v) {
			declared = append(declared, v)
		}
	}
	item := SurveyItem{ID: "scope-grammar", Title: "Scopes are written as the server reads them", Result: Pass, Declared: list(declared) + " is listed.", Meaning: "The scopes will be understood."}
	if len(declared) > 1 {
		item.Declared = list(declared) + " are listed."
	}
	asked := map[scope.Version]bool{}
	for _, sc := range s.scopes {
		if sc.Kind == scope.Resource {
			asked[sc.Version] = true
		}
	}
	var written []string
	for _, v := range []scope.Version{scope.V1, scope.V2} {
		if asked[v] {
			written = append(written, fmt.Sprintf("SMART %d", v))
		}
	}
	item.Seen = "This registration asks in the grammar of " + list(written) + "."
	if why := otherGrammar(s.scopes, s.cfg); why != "" {
		item.Result, item.Meaning, item.Advice = Warning, "Some servers drop such scopes without a word: less can be read than was asked for.", why
	} else if len(declared) == 0 {
		item.Result, item.Meaning = Info, "Which grammar it reads is not told; Chartkey writes that of SMART 2 unless the registration names its own scopes."
	}
	s.tell(item)
}

// listedScopes compares scopes_supported with what will be asked for.
func (s *surveyor) listedScopes() {
	by := map[scope.Support][]string{}
	for _, sc := range s.scopes {
		support, _ := supportOf(sc, s.cfg)
		by[support] = append(by[support], sc.Text)
	}
	item := SurveyItem{
		ID: "scopes", Title: "The scopes that are asked for are listed", Result: Pass, Declared: fmt.Sprintf("%d scopes are listed.", len(s.cfg.ScopesSupported)),
		Seen: fmt.Sprintf("Of %d that are asked for, the server speaks for %d.", len(s.scopes), len(by[scope.Listed])), Meaning: "What is asked for can be granted.",
	}
	switch {
	case len(by[scope.NotListed]) > 0:
		item.Result, item.Seen = Warning, item.Seen+" It lists others and not "+list(by[scope.NotListed])+"."
		item.Meaning, item.Advice = "These may be refused, or left out of what is granted. The list need not be full.", "Compare them with what the app is registered for at the EHR."
	case len(by[scope.NotTold]) > 0:
		item.Result, item.Seen = Info, item.Seen+" It says nothing of "+list(by[scope.NotTold])+"."
		item.Meaning = "It may grant these all the same; what was granted shows after the sign-in."
	}
	s.tell(item)
}

// authorizationServer looks at what is declared of the authorization server itself.
func (s *surveyor) authorizationServer(context.Context) {
	if !s.found {
		return
	}
	if s.told {
		s.grantTypes()
		s.clientAuthentication()
		s.pkce()
	}
	for _, e := range []struct{ id, title, address, with, without string }{
		{"revocation", "It takes back access on request", s.cfg.RevocationEndpoint, "Disconnect tells the server, and access ends at once.",
			"Disconnect forgets the access here, and cannot tell the server: it ends there when it runs out, or when it is withdrawn in the EHR's portal."},
		{"introspection", "It tells how a token stands", s.cfg.IntrospectionEndpoint, "Whether access still holds can be asked.", "Whether access still holds shows only by trying. Chartkey does that."},
		{"registration", "It registers apps by itself", s.cfg.RegistrationEndpoint, "An app, or a copy of it, can be registered without a form.", "The app is registered by hand at the EHR, with what chartkey registration kit prints."},
	} {
		item := SurveyItem{ID: e.id, Title: e.title, Result: Info, Declared: "No endpoint is named.", Meaning: e.without}
		if e.address != "" {
			item.Declared, item.Seen, item.Meaning = network.Clean(e.address, 300), "Not tried: it takes no request without a token or a client.", e.with
		}
		s.tell(item)
	}
}

func (s *surveyor) grantTypes() {
	item := SurveyItem{ID: "grant-types", Title: "It signs in by authorization code", Result: Pass, Declared: list(s.cfg.GrantTypesSupported) + "; response types: " + list(s.cfg.ResponseTypesSupported) + ".", Seen: "This registration needs authorization_code with the response type code.", Meaning: "The way in which Chartkey signs in is offered."}
	renews := s.scopes.Has("offline_access") || s.scopes.Has("online_access")
	if renews {
		item.Seen = "This registration needs authorization_code with the response type code, and refresh_token."
	}
	missing := func(names []string, want string) bool { return len(names) > 0 && !slices.Contains(names, want) }
	switch {
	case missing(s.cfg.GrantTypesSupported, "authorization_code"), missing(s.cfg.ResponseTypesSupported, "code"):
		item.Result, item.Meaning, item.Advice = Fail, "Nobody can sign in this way.", "Ask the server's operator whether SMART App Launch is turned on."
	case renews && missing(s.cfg.GrantTypesSupported, "refresh_token"):
		item.Result, item.Meaning, item.Advice = Warning, "Access may not be renewed: a new sign-in is then needed when it runs out, often after an hour.", "Ask the server's operator for refresh tokens."
	case len(s.cfg.GrantTypesSupported) == 0:
		item.Result, item.Meaning = Info, "SMART servers need not list it; nothing speaks against it."
	}
	s.tell(item)
}

// clientAuthentication compares how clients may prove themselves.
func (s *surveyor) clientAuthentication() {
	methods := s.cfg.TokenEndpointAuthMethodsSupported
	ways := map[string][]string{
		string(smart.Public): {"none"}, string(smart.ConfidentialSymmetric): {"client_secret_basic", "client_secret_post"}, string(smart.ConfidentialAsymmetric): {"private_key_jwt"},
	}[s.reg.ClientType]
	item := SurveyItem{
		ID: "client-authentication", Title: "It takes the way in which this app proves itself", Result: Pass, Declared: list(methods) + ".",
		Seen: fmt.Sprintf("The registration is %s, so it uses %s.", s.reg.ClientType, strings.Join(ways, " or ")), Meaning: "The token endpoint will know the app.",
	}
	if s.reg.ClientType == string(smart.Public) {
		item.Seen = "The registration is public, so it has nothing to prove itself by (none)."
	}
	offered := slices.ContainsFunc(ways, func(m string) bool { return slices.Contains(methods, m) })
	switch {
	case len(methods) == 0:
		item.Result, item.Meaning = Info, "The server does not say. Chartkey tries what the client type has."
	case !offered && s.reg.ClientType == string(smart.Public):
		// Epic takes public clients and does not list none.
		item.Result, item.Meaning = Info, "Servers that take public clients often leave none out of this list. Where client-public is listed too, it counts."
	case !offered:
		item.Result, item.Meaning, item.Advice = Fail, "The server will not let this app have tokens.", "Register the app with a client type that the server takes."
	}
	s.tell(item)
}

func (s *surveyor) pkce() {
	methods := s.cfg.CodeChallengeMethodsSupported
	item := SurveyItem{
		ID: "pkce", Title: "It protects the code on its way (PKCE)", Result: Pass, Declared: list(methods) + ".", Seen: "Chartkey always uses S256, and never plain.",
		Meaning: "A code that is caught on its way is of no use to others.",
	}
	switch {
	case !slices.Contains(methods, "S256"):
		item.Result, item.Meaning = Warning, "SMART App Launch asks for S256. A server that ignores it does not notice when a code is used by somebody else."
		item.Advice = "Chartkey uses it anyway. Ask the server's operator to support it."
	case slices.Contains(methods, "plain"):
		item.Result, item.Meaning = Warning, "Chartkey is not concerned. Other apps may use plain, which protects less, and SMART forbids it."
		item.Advice = "Tell the server's operator to take plain away."
	}
	s.tell(item)
}

// issuer looks at who signs the id_tokens. claimed is the fault of an issuer that another server has too.
func (s *surveyor) issuer(claimed error) {
	if !s.told {
		return
	}
	item := SurveyItem{ID: "issuer", Title: "It names who issues its tokens", Result: Pass, Declared: network.Clean(s.cfg.Issuer, 300), Seen: "It is on the host of the FHIR server.", Meaning: "Who signed in can be verified, and answers of two servers cannot be mixed up."}
	u, err := url.Parse(s.cfg.Issuer)
	wantsIdentity := s.scopes.Has("openid")
	switch {
	case s.cfg.Issuer == "" && wantsIdentity:
		item.Result, item.Declared, item.Seen = Warning, "No issuer is named.", "The registration asks who signs in."
		item.Meaning, item.Advice = "Who signed in cannot be verified, so it will not be shown.", "Ask the server's operator to name issuer and jwks_uri, as SMART asks with sso-openid-connect."
	case s.cfg.Issuer == "":
		item.Result, item.Declared, item.Seen, item.Meaning = Info, "No issuer is named.", "", "It is not needed, as the registration does not ask who signs in."
	case claimed != nil:
		f := Fault(claimed)
		item.Result, item.Seen, item.Meaning, item.Advice = Fail, f.Message, "One of the two may be an impostor, so Chartkey does not sign in.", f.Advice
	case err != nil || !network.MaySend(u):
		item.Result, item.Seen, item.Meaning, item.Advice = Warning, "It is no https address.", "Who signed in may not be verified.", "Tell the server's operator."
	case !network.SameOrigin(u, s.base):
		item.Result, item.Seen = Info, "It is on another host than the FHIR server, "+network.Clean(s.base.Host, 200)+"."
		item.Meaning = "That is so where one sign-in serves several servers. The id_token must name it to the letter."
	}
	s.tell(item)
	promise := SurveyItem{ID: "issuer-in-answer", Title: "Its answers name the server", Result: Info, Declared: "authorization_response_iss_parameter_supported is not declared.", Meaning: "Chartkey tells servers apart by a redirect and state of each sign-in; this would be one more protection (RFC 9207)."}
	if s.cfg.AuthorizationResponseIssParameterSupported {
		promise.Result, promise.Declared, promise.Meaning = Pass, "authorization_response_iss_parameter_supported is declared.", "Chartkey insists on the name, so an answer of another server is noticed (RFC 9207)."
	}
	s.tell(promise)
}

// signingKeys reads the keys that verify id_tokens.
func (s *surveyor) signingKeys(ctx context.Context) {
	if !s.told {
		return
	}
	item := SurveyItem{ID: "jwks", Title: "Its signing keys can be read", Result: Pass, Declared: network.Clean(s.cfg.JWKSURI, 300), Meaning: "Who signed in can be verified."}
	matters := Warning
	if s.scopes.Has("openid") {
		matters = Fail
	}
	if s.cfg.JWKSURI == "" {
		item.Result, item.Declared, item.Meaning = Info, "No jwks_uri is named.", "It is not needed, as the registration does not ask who signs in."
		if matters == Fail {
			item.Result, item.Meaning, item.Advice = Warning, "Who signed in cannot be verified, so it will not be shown.", "Ask the server's operator to name issuer and jwks_uri."
		}
		s.tell(item)
		return
	}
	keys, err := s.way.smart.PublishedKeys(ctx, s.cfg.JWKSURI)
	item.Seen = fmt.Sprintf("Of the keys there (%d), %d can verify an id_token.", keys.Usable+keys.Others, keys.Usable)
	switch {
	case err != nil:
		f := Fault(err)
		item.Result, item.Seen, item.Meaning, item.Advice = matters, f.Message, "A sign-in that asks who signs in is refused, as it cannot be verified.", f.Advice
	case keys.Private:
		item.Result, item.Seen = Fail, "A key is shown together with its private half."
		item.Meaning, item.Advice = "Anybody can sign in its name, so no id_token of this server can be believed.", "Tell the server's operator at once, and do not connect until it has new keys."
	case keys.Usable == 0:
		item.Result, item.Meaning = matters, "A sign-in that asks who signs in is refused, as it cannot be verified."
		item.Advice = "Tell the server's operator that RS256, RS384, ES256 and ES384 are understood."
	}
	s.tell(item)
}

// fhirServer looks at what the CapabilityStatement says of the FHIR server.
func (s *surveyor) fhirServer(context.Context) {
	c := s.capability
	if c == nil {
		return
	}
	version := SurveyItem{ID: "fhir-version", Title: "It speaks FHIR R4", Result: Pass, Declared: "FHIR " + c.FHIRVersion + ".", Meaning: "Records can be read."}
	if !c.IsR4() {
		version.Result, version.Meaning = Fail, "Chartkey reads R4 (4.x), so records cannot be read here."
		version.Advice = "Use the R4 base URL of the same server; it often differs in one path segment, such as DSTU2 or STU3."
	}
	s.tell(version)

	formats := SurveyItem{ID: "formats", Title: "It answers in JSON", Result: Pass, Declared: list(c.Formats) + ".", Meaning: "Records come in the form that Chartkey reads."}
	if !slices.ContainsFunc(c.Formats, func(f string) bool { return strings.Contains(f, "json") }) {
		formats.Result, formats.Meaning, formats.Advice = Warning, "Reads may fail: Chartkey asks for JSON.", "If reads fail, tell the server's operator."
	}
	s.tell(formats)
	s.resources()
}

// interactions are the FHIR interactions that each access of a scope is for.
var interactions = []struct {
	access scope.Permission
	code   string
}{{scope.Read, "read"}, {scope.Search, "search-type"}, {scope.Create, "create"}, {scope.Update, "update"}, {scope.Delete, "delete"}}

// resources compares the scopes asked for with what the FHIR server serves.
func (s *surveyor) resources() {
	var lacking, types, unsearchable []string
	for _, sc := range s.scopes {
		if sc.Kind != scope.Resource || sc.Type == "*" || slices.Contains(types, sc.Type) {
			continue
		}
		types = append(types, sc.Type)
		if _, known := s.capability.Resources[sc.Type]; !known {
			lacking = append(lacking, sc.Type+" is not served")
			continue
		}
		for _, i := range interactions {
			// A version 1 scope names more than is meant: .write is three accesses.
			if sc.Permission&i.access != 0 && !s.capability.Can(sc.Type, i.code) && (sc.Version == scope.V2 || i.access&(scope.Read|scope.Search) != 0) {
				lacking = append(lacking, fmt.Sprintf("%s has no %s", sc.Type, i.code))
			}
		}
		if sc.Permission&scope.Search != 0 && s.capability.Can(sc.Type, "search-type") {
			unsearchable = append(unsearchable, s.missingParams(sc)...)
		}
	}
	item := SurveyItem{
		ID: "resources", Title: "It serves the records that are asked for", Result: Pass, Declared: fmt.Sprintf("%d types of resource.", len(s.capability.Resources)),
		Seen: fmt.Sprintf("This registration asks for %d types by name; all are served.", len(types)), Meaning: "What is granted can be read.",
	}
	if len(types) == 0 {
		item.Result, item.Seen, item.Meaning = Info, "This registration asks for no type of resource by name.", "What can be read shows after the sign-in."
	}
	if len(lacking) > 0 {
		item.Result, item.Seen = Warning, list(lacking)+"."
		item.Meaning, item.Advice = "Reads of these fail even where the scope is granted.", "Take the scopes out, or ask the server's operator. Servers do not always list all they serve."
	}
	s.tell(item)
	if len(types) == 0 {
		return
	}
	item = SurveyItem{ID: "search-parameters", Title: "Records can be searched by patient", Result: Pass, Declared: "Search parameters are listed.", Seen: "Those that are needed are among them.", Meaning: "The records of one patient can be found."}
	if len(unsearchable) > 0 {
		item.Result, item.Seen = Warning, list(unsearchable)+"."
		item.Meaning, item.Advice = "Searches for these may fail, or give the records of others where the person may see them.", "Read such records by their id, or ask the server's operator."
	}
	s.tell(item)
}

// withoutPatient are types of resource that belong to no patient.
var withoutPatient = []string{"Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Medication", "Questionnaire", "Endpoint", "Substance", "ValueSet"}

// missingParams names the search parameters that a scope needs and the server
// does not list. Some servers list none, which says nothing.
func (s *surveyor) missingParams(sc scope.Scope) []string {
	listed := s.capability.SearchParams[sc.Type]
	lists := func(name string) bool { return slices.Contains(listed, name) }
	if len(listed) == 0 {
		return nil
	}
	var out []string
	if sc.Context == "patient" && !slices.Contains(withoutPatient, sc.Type) && !lists("patient") && !lists("subject") {
		out = append(out, sc.Type+" cannot be searched by patient")
	}
	for name := range sc.Query {
		if !lists(name) {
			out = append(out, fmt.Sprintf("%s cannot be searched by %s", sc.Type, network.Clean(name, 60)))
		}
	}
	slices.Sort(out)
	return out
}
