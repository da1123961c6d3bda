package simulator

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"chartkey/backend/scope"
)

// The profiles: sets of traits to begin with.
const (
	// ProfileSpec does what SMART App Launch and the RFCs ask for, and no more.
	ProfileSpec = "spec"
	// ProfileEpic behaves like Epic's servers, as far as that is published or reported.
	ProfileEpic = "epic"
)

// Profiles gives the names that Options.Profile may have.
func Profiles() []string { return []string{ProfileSpec, ProfileEpic} }

// Trait is one way in which a real server differs from the specification's
// plain reading, without being broken.
type Trait struct {
	Name string `json:"name"`
	// Sentence says what the server does then.
	Sentence string `json:"sentence"`
	// Epic tells that the trait is one of the profile epic.
	Epic bool `json:"epic"`
}

// The traits.
const (
	traitErrorPage        = "error-page"
	traitOpaqueErrorPage  = "opaque-error-page"
	traitMyChartErrors    = "mychart-error-page"
	traitOpaqueErrors     = "opaque-errors"
	traitExactRedirect    = "exact-redirect"
	traitRewrittenScopes  = "rewritten-scopes"
	traitRefreshEarned    = "refresh-for-confidential"
	traitNoRevocation     = "no-revocation"
	traitNoIntrospection  = "no-introspection"
	traitNoIssuer         = "no-issuer-parameter"
	traitShortMetadata    = "short-metadata"
	traitDSTU2Patient     = "dstu2-patient"
	traitStringBanner     = "string-banner"
	traitUnknownPathPage  = "unknown-path-page"
	traitEpicOutcomes     = "epic-outcomes"
	traitSearchParameters = "required-search-parameters"
	traitEpicClientID     = "epic-client-id"
	traitRawBasic         = "raw-basic"
)

// Traits gives the traits that there are. Where no other source is named, it
// is Epic's documentation and published metadata.
func Traits() []Trait {
	return []Trait{
		{traitErrorPage, "A sign-in request with a missing or wrong aud, an unsupported scope or any other mistake ends at a page of the server, and nothing returns to the app.", true},
		{traitOpaqueErrorPage, "The server's own error page does not say what is wrong.", true},
		// Seen at several hosts: cfu288/mere-medical issues 256 and 283.
		{traitMyChartErrors, "The error page stands at …/Authentication/OAuth/Start?error=4, with client_id, redirect_uri and aud as they were sent.", true},
		// Seen in the sandbox: smart-on-fhir/client-js issue 87.
		{traitOpaqueErrors, "The token endpoint's errors carry a null description, so an invalid_client has a dozen causes.", true},
		{traitExactRedirect, "A redirect URI must match a registered one to the letter, ports of 127.0.0.1 and [::1] included. Without this, any port of those is accepted (RFC 8252 section 7.3).", true},
		{traitRewrittenScopes, "Granted scopes are told in the other grammar (.rs as .read and back) and with the prefix of who signed in: user/ for a clinician, patient/ for a patient.", true},
		{traitRefreshEarned, "Only a confidential client with offline_access is given a refresh token; others are not granted offline_access or online_access.", true},
		{traitNoRevocation, "There is no revocation endpoint.", true},
		{traitNoIntrospection, "Introspection is neither advertised nor answered.", true},
		{traitNoIssuer, "The callback carries no iss and none is promised (RFC 9207 is not supported).", true},
		{traitShortMetadata, "The SMART configuration has only the members, capabilities and scopes that Epic's has; patient/ scopes are granted without being listed.", true},
		{traitDSTU2Patient, "The token answer has the member __epic.dstu2.patient beside patient.", true},
		{traitStringBanner, "need_patient_banner is the string \"true\" or \"false\".", true},
		{traitUnknownPathPage, "An unknown path is answered with 200 and a web page.", true},
		{traitEpicOutcomes, "OperationOutcomes carry Epic's codes, a search for an unknown patient is refused, and a search that finds nothing, or is a patient's, says so in an entry.", true},
		{traitSearchParameters, "A search must name its patient, and one for Observation a category or code.", true},
		{traitEpicClientID, "The CapabilityStatement lists what the client named in the header Epic-Client-ID may read.", true},
		// RFC 6749 section 2.3.1 has them encoded; several servers do not decode.
		{traitRawBasic, "Client ID and secret are expected in the Basic header as they are, without form encoding.", false},
	}
}

func traitNames(epicOnly bool) []string {
	var out []string
	for _, t := range Traits() {
		if t.Epic || !epicOnly {
			out = append(out, t.Name)
		}
	}
	return out
}

// SetTraits puts exactly these traits in force, for what is asked from now on.
// It fails, and changes nothing, where one is not known.
func (s *Server) SetTraits(names ...string) error { return s.traits.set(names) }

// Traits gives the names of the traits in force.
func (s *Server) Traits() []string { return s.traits.names() }

// SetProfile puts the traits of a profile in force. It fails where the name is not known.
func (s *Server) SetProfile(name string) error {
	switch name {
	case ProfileSpec:
		return s.SetTraits()
	case ProfileEpic:
		return s.SetTraits(traitNames(true)...)
	}
	return fmt.Errorf("there is no profile %q; there are %s", clip(name, 60), strings.Join(Profiles(), " and "))
}

// Profile gives the profile whose traits are in force, or "" where they are of one's own choosing.
func (s *Server) Profile() string {
	switch on := s.Traits(); {
	case len(on) == 0:
		return ProfileSpec
	case slices.Equal(on, traitNames(true)):
		return ProfileEpic
	}
	return ""
}

func (s *Server) trait(name string) bool { return s.traits.has(name) }

// redirectRegistered tells whether a client may be sent back to uri.
func (s *Server) redirectRegistered(client Client, uri string) bool {
	if slices.Contains(client.RedirectURIs, uri) {
		return true
	}
	want, ok := withoutLoopbackPort(uri)
	return ok && !s.trait(traitExactRedirect) && slices.ContainsFunc(client.RedirectURIs, func(registered string) bool {
		have, ok := withoutLoopbackPort(registered)
		return ok && have == want
	})
}

// withoutLoopbackPort takes the port out of a redirect URI on a loopback
// address. The name localhost is none: RFC 8252 section 8.3 advises against it.
func withoutLoopbackPort(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.User != nil {
		return "", false
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		return "", false
	}
	return strings.Replace(uri, u.Host, strings.TrimSuffix(u.Host, ":"+u.Port()), 1), true
}

// redirectMiss says how a redirect URI that is refused differs from the
// registered one that it was probably meant to be.
func redirectMiss(uri string, registered []string) string {
	got, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	alias := ""
	for _, r := range registered {
		want, err := url.Parse(r)
		if err != nil {
			continue
		}
		samePath := got.Path == want.Path && got.RawQuery == want.RawQuery
		switch {
		case strings.EqualFold(uri, r):
			return ": it differs from " + r + " in case only"
		case strings.TrimSuffix(uri, "/") == strings.TrimSuffix(r, "/"):
			return ": it differs from " + r + " by the slash at the end only"
		case samePath && got.Host == want.Host:
			return ": it differs from " + r + " in the scheme only"
		case samePath && got.Hostname() == want.Hostname():
			return ": it differs from " + r + " in the port only"
		case samePath && alias == "" && isLocal(got.Hostname()) && isLocal(want.Hostname()):
			alias = ": it names this computer in another way than " + r
		}
	}
	return alias
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// opaqueProblem is what Epic's page says, whatever the reason.
const opaqueProblem = "Something went wrong trying to authorize the client. Please try logging in again."

// myChartErrors is where the error page of the trait is.
const myChartErrors = "/mychart/Authentication/OAuth/Start"

// refuseApp ends an authorization request on a page of the server's own.
func (s *Server) refuseApp(w http.ResponseWriter, r *http.Request, query url.Values, problem string) {
	if !s.trait(traitOpaqueErrorPage) && !s.trait(traitMyChartErrors) {
		s.errorPage(w, r, http.StatusBadRequest, "The app cannot be signed in", problem)
		return
	}
	judge(r, "own error page that does not say why, nothing sent back: %s", problem)
	if !s.trait(traitMyChartErrors) {
		show(w, r, http.StatusBadRequest, "error", page{Title: "OAuth2 Error", Page: "opaque", Problem: opaqueProblem})
		return
	}
	echo := url.Values{"error": {"4"}} // "the request is invalid"
	for _, name := range []string{"client_id", "redirect_uri", "aud"} {
		if query.Has(name) {
			echo.Set(name, clip(query.Get(name), 1000))
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, myChartErrors+"?"+echo.Encode(), http.StatusSeeOther)
}

func (s *Server) myChartErrorPage(w http.ResponseWriter, r *http.Request) {
	if !s.trait(traitMyChartErrors) {
		s.unknownPath(w, r)
		return
	}
	judge(r, "error page shown, with what was sent in its address")
	show(w, r, http.StatusOK, "error", page{Title: "An error occurred", Page: "opaque", Problem: "The request is invalid. " + opaqueProblem})
}

// unknownPaths answers what no handler is registered for.
func (s *Server) unknownPaths(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" && s.trait(traitUnknownPathPage) {
			s.unknownPath(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) unknownPath(w http.ResponseWriter, r *http.Request) {
	if !s.trait(traitUnknownPathPage) {
		http.NotFound(w, r)
		return
	}
	judge(r, "there is no such page, or it does not take %s; answered with 200 and a web page all the same", clip(r.Method, 20))
	show(w, r, http.StatusOK, "error", page{Title: "Welcome", Page: "opaque", Problem: "The page that you are looking for may have moved."})
}

// epicMembers and epicScopes are those of Epic's own SMART configuration.
var (
	epicMembers = []string{
		"authorization_endpoint", "token_endpoint", "token_endpoint_auth_methods_supported", "scopes_supported", "response_types_supported",
		"capabilities", "grant_types_supported", "code_challenge_methods_supported", "issuer", "jwks_uri",
	}
	epicScopes    = []string{"fhirUser", "launch", "openid", "profile"}
	notEpics      = []string{"permission-online", "context-standalone-encounter", "smart-app-state"}
	openIDMembers = []string{"subject_types_supported", "id_token_signing_alg_values_supported"}
)

// advertised takes out of a discovery document what the traits keep quiet.
func (s *Server) advertised(doc map[string]any) map[string]any {
	drop := func(names ...string) {
		for _, name := range names {
			delete(doc, name)
		}
	}
	if s.trait(traitNoRevocation) {
		drop("revocation_endpoint", "revocation_endpoint_auth_methods_supported", "revocation_endpoint_auth_signing_alg_values_supported")
	}
	if s.trait(traitNoIntrospection) {
		drop("introspection_endpoint", "introspection_endpoint_auth_methods_supported", "introspection_endpoint_auth_signing_alg_values_supported")
	}
	if s.trait(traitNoIssuer) {
		drop("authorization_response_iss_parameter_supported")
	}
	if !s.trait(traitShortMetadata) {
		return doc
	}
	for name := range doc {
		if !slices.Contains(epicMembers, name) && !slices.Contains(openIDMembers, name) {
			delete(doc, name)
		}
	}
	only := func(name string, keep func(string) bool) {
		if list, ok := doc[name].([]string); ok {
			doc[name] = slices.DeleteFunc(slices.Clone(list), func(v string) bool { return !keep(v) })
		}
	}
	only("scopes_supported", func(v string) bool { return slices.Contains(epicScopes, v) })
	only("capabilities", func(v string) bool { return !slices.Contains(notEpics, v) })
	only("token_endpoint_auth_methods_supported", func(v string) bool { return v != "none" })
	return doc
}

// statement is the CapabilityStatement for who asks.
func (s *Server) statement(r *http.Request) map[string]any {
	doc := s.capabilityStatement()
	id := r.Header.Get("Epic-Client-ID")
	if id == "" || !s.trait(traitEpicClientID) {
		return doc
	}
	identify(r, id)
	client, ok := s.client(id)
	if !ok {
		judge(r, "CapabilityStatement handed out; the client in Epic-Client-ID is not known, so it is the general one")
		return doc
	}
	judge(r, "CapabilityStatement handed out as it is for %s", client.ID)
	limit, _ := scope.ParseList(client.Scopes)
	rest, ok := doc["rest"].([]map[string]any)
	if !ok || len(rest) == 0 || len(limit) == 0 {
		return doc
	}
	if resources, ok := rest[0]["resource"].([]map[string]any); ok {
		rest[0]["resource"] = slices.DeleteFunc(resources, func(resource map[string]any) bool {
			kind, _ := resource["type"].(string)
			return !slices.ContainsFunc(limit, func(sc scope.Scope) bool {
				return sc.Kind == scope.Resource && (sc.Type == "*" || sc.Type == kind)
			})
		})
	}
	return doc
}

// shape changes what a person allowed into what the server grants, and says so
// for the verdict.
func (s *Server) shape(g *grant, client Client) string {
	allowed := g.scopes.String()
	if s.trait(traitRefreshEarned) && (client.Type == Public || !g.scopes.Has("offline_access")) {
		g.scopes = slices.DeleteFunc(slices.Clone(g.scopes), func(sc scope.Scope) bool { return sc.Kind == scope.Duration })
	}
	if s.trait(traitRewrittenScopes) {
		g.scopes = rewritten(g.scopes, g.account.Kind)
		if own, all := g.account.patients(); !all && g.patient == "" {
			g.patient = own[0] // patient/ in place of user/ needs one to speak of
		}
	}
	s.narrow(g)
	if granted := g.scopes.String(); granted != allowed {
		return ", granted as " + granted
	}
	return ""
}

// rewritten tells the scopes of a grant in the other grammar and with the
// prefix of who signed in.
func rewritten(set scope.Set, kind string) scope.Set {
	context := "user"
	if kind == PatientAccount {
		context = "patient"
	}
	var out scope.Set
	for _, sc := range set {
		if sc.Kind == scope.Resource && sc.Context != "system" {
			_, rest, _ := strings.Cut(sc.Text, "/")
			if moved, err := scope.Parse(context + "/" + rest); err == nil {
				sc = moved
			}
			// Only what the other grammar says exactly: a lone .r or a category has no version 1.
			switch {
			case len(sc.Query) > 0:
			case sc.Version == scope.V1:
				sc = scope.Set{sc}.In(scope.V2)[0]
			case sc.Permission == scope.Read|scope.Search:
				sc = scope.Set{sc}.In(scope.V1)[0]
			}
		}
		if !out.Has(sc.Text) {
			out = append(out, sc)
		}
	}
	return out
}

// quirks changes a token answer as the traits have it.
func (s *Server) quirks(answer map[string]any) {
	if patient, ok := answer["patient"].(string); ok && s.trait(traitDSTU2Patient) {
		// DSTU2 has IDs of its own for the same patients.
		answer["__epic.dstu2.patient"] = "T" + base64.RawURLEncoding.EncodeToString([]byte(patient))
	}
	if banner, ok := answer["need_patient_banner"].(bool); ok && s.trait(traitStringBanner) {
		answer["need_patient_banner"] = fmt.Sprint(banner)
	}
}

// tokenError is the body of an error of the token endpoint.
func (s *Server) tokenError(oerr *oauthError) map[string]any {
	if s.trait(traitOpaqueErrors) {
		return map[string]any{"error": oerr.code, "error_description": nil}
	}
	return map[string]any{"error": oerr.code, "error_description": oerr.description}
}

// basic reads the Basic header as the server expects it.
func (s *Server) basic(header string) (id, secret string, ok bool) {
	if !s.trait(traitRawBasic) {
		return basicCredentials(header)
	}
	r := http.Request{Header: http.Header{"Authorization": {header}}}
	return r.BasicAuth()
}
