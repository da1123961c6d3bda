package simulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestTraitsAndProfiles(t *testing.T) {
	seen := map[string]bool{}
	for _, trait := range Traits() {
		if seen[trait.Name] || !strings.HasSuffix(trait.Sentence, ".") {
			t.Errorf("%+v stands twice or says nothing", trait)
		}
		seen[trait.Name] = true
	}
	s, err := New(Options{})
	if err != nil || s.Profile() != ProfileSpec || len(s.Traits()) != 0 {
		t.Fatalf("%q %v %v", s.Profile(), s.Traits(), err)
	}
	if err := s.SetProfile(ProfileEpic); err != nil || s.Profile() != ProfileEpic || len(s.Traits()) < 15 {
		t.Errorf("%q %v %v", s.Profile(), s.Traits(), err)
	}
	if err := s.SetTraits(traitStringBanner, traitRawBasic); err != nil || s.Profile() != "" || !slices.Equal(s.Traits(), []string{traitStringBanner, traitRawBasic}) {
		t.Errorf("%q %v %v", s.Profile(), s.Traits(), err)
	}
	if err := s.SetTraits("string-banner", "teapot"); err == nil || !strings.Contains(err.Error(), traitDSTU2Patient) || len(s.Traits()) != 2 {
		t.Errorf("an unknown trait: %v, then %v", err, s.Traits())
	}
	if err := s.SetProfile("other"); err == nil || !strings.Contains(err.Error(), "spec and epic") {
		t.Errorf("an unknown profile: %v", err)
	}
	if _, err := New(Options{Profile: "other"}); err == nil {
		t.Error("a server was made with an unknown profile")
	}
}

// refused opens an authorization URL that must end on a page of the server's own.
func (r running) refused(changes map[string]string) (status int, location *url.URL, page string) {
	r.t.Helper()
	resp, body := r.do(mustRequest(r.t, r.authorizeURL(r.request(changes))))
	location, err := resp.Location()
	if err != nil {
		location = nil
	}
	return resp.StatusCode, location, word(body["page"])
}

func TestErrorsThatEpicKeepsToItself(t *testing.T) {
	r := start(t, Options{Profile: ProfileEpic})
	for name, c := range map[string]struct {
		changes map[string]string
		reason  string
	}{
		"unknown client":     {map[string]string{"client_id": "of-production"}, `No app is registered here with the client ID "of-production"`},
		"other redirect URI": {map[string]string{"redirect_uri": testRedirect + "/"}, "by the slash at the end only"},
		"no aud":             {map[string]string{"aud": "-"}, "invalid_request: aud is missing"},
		"wrong aud":          {map[string]string{"aud": "https://fhir.epic.com/R4"}, "invalid_request: aud is not this server's"},
		"unknown scope":      {map[string]string{"scope": "teapot"}, "invalid_scope: none of the scopes"},
		"no state":           {map[string]string{"state": "-"}, "state is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			status, location, _ := r.refused(c.changes)
			if status != http.StatusSeeOther || location == nil || location.Host != strings.TrimPrefix(r.Origin(), "http://") || location.Path != myChartErrors {
				t.Fatalf("%d to %v", status, location)
			}
			sent, echo := r.request(c.changes), location.Query()
			if echo.Get("error") != "4" || echo.Get("client_id") != sent.Get("client_id") || echo.Get("redirect_uri") != sent.Get("redirect_uri") || echo.Get("aud") != sent.Get("aud") || len(echo) > 4 {
				t.Errorf("the page's address is %v", location)
			}
			if v := r.lastVerdict(); !strings.Contains(v, c.reason) || !strings.Contains(v, "nothing sent back") {
				t.Errorf("the log says %q", v)
			}
			resp, body := r.do(mustRequest(t, location.String()))
			page := word(body["page"])
			if resp.StatusCode != http.StatusOK || !strings.Contains(page, "The request is invalid") || strings.Contains(page, "aud") || strings.Contains(page, "registered") {
				t.Errorf("%d %s", resp.StatusCode, page)
			}
		})
	}

	// Each of the three traits is one by itself.
	must(t, r.SetTraits(traitErrorPage))
	if status, location, page := r.refused(map[string]string{"aud": "-"}); status != http.StatusBadRequest || location != nil || !strings.Contains(page, "aud is missing") {
		t.Errorf("error-page: %d %v %s", status, location, page)
	}
	must(t, r.SetTraits(traitErrorPage, traitOpaqueErrorPage))
	if status, location, page := r.refused(map[string]string{"aud": "-"}); status != http.StatusBadRequest || location != nil || !strings.Contains(page, "Something went wrong") || strings.Contains(page, "aud") {
		t.Errorf("opaque-error-page: %d %v %s", status, location, page)
	}
	must(t, r.SetTraits(traitMyChartErrors))
	if _, location, _ := r.refused(map[string]string{"aud": "-"}); location == nil || location.Query().Get("error") != "invalid_request" {
		t.Errorf("mychart-error-page alone keeps a mistake in aud from the app: %v", location)
	}
	must(t, r.SetTraits())
	if resp, _ := r.do(mustRequest(t, r.Origin()+myChartErrors+"?error=4")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the page is there without its trait: %d", resp.StatusCode)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRedirectURIsOnLoopback(t *testing.T) {
	registered := []string{"http://127.0.0.1:18320/callback", "http://[::1]/cb?x=1", "http://localhost:18320/callback"}
	s, err := New(Options{Clients: []Client{{ID: "app", Type: Public, RedirectURIs: registered}}})
	must(t, err)
	client, _ := s.client("app")
	for uri, free := range map[string]bool{
		"http://127.0.0.1:5/callback": true, "http://127.0.0.1/callback": true, "http://[::1]:1/cb?x=1": true,
		"http://localhost:5/callback": false, "http://127.0.0.1:5/Callback": false, "http://127.0.0.1:5/callback/": false, "http://127.0.0.2:5/callback": false,
		"https://127.0.0.1:5/callback": false, "http://u@127.0.0.1:5/callback": false, "http://127.0.0.1:5/callback#x": false,
		"http://127.0.0.1.evil.example:18320/callback": false, "http://[::1]:1/cb": false, "http://127.0.0.1:/callback": true,
	} {
		must(t, s.SetTraits())
		if got := s.redirectRegistered(client, uri); got != free {
			t.Errorf("%s: %v (RFC 8252 section 7.3)", uri, got)
		}
		must(t, s.SetTraits(traitExactRedirect))
		if s.redirectRegistered(client, uri) {
			t.Errorf("%s is taken for one that matches to the letter", uri)
		}
	}
	for _, uri := range registered {
		if !s.redirectRegistered(client, uri) {
			t.Errorf("%s is refused", uri)
		}
	}
	for uri, want := range map[string]string{
		"http://LOCALHOST:18320/callback": "case only", "http://localhost:18320/callback/": "slash", "https://localhost:18320/callback": "scheme",
		"http://localhost:1/callback": "port", "http://[::1]:18320/callback": "names this computer", "http://elsewhere.example/": "", "%": "",
	} {
		if got := redirectMiss(uri, registered); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
}

func TestEpicsTokens(t *testing.T) {
	r := start(t, Options{Profile: ProfileEpic})
	body := r.connect(nil, Choice{})
	if body["refresh_token"] != nil || strings.Contains(word(body["scope"]), "offline_access") {
		t.Errorf("a public client was given %v", body)
	}
	if body["scope"] != "openid fhirUser launch/patient patient/*.read" || body["need_patient_banner"] != "true" || body["patient"] != "amara-nwosu" {
		t.Errorf("%v", body)
	}
	if id := word(body["__epic.dstu2.patient"]); id == "" || id == "amara-nwosu" {
		t.Errorf("__epic.dstu2.patient is %q", id)
	}
	if resp, patient := r.get("Patient/amara-nwosu", word(body["access_token"]), nil); resp.StatusCode != http.StatusOK {
		t.Errorf("%v", patient)
	}

	// A clinician's are user/, and reach what the clinician may see.
	clinician := Choice{Username: "dr.okafor", Password: practitionerPassword, Patient: "luca-marchetti"}
	body = r.connect(map[string]string{"scope": "launch/patient patient/Patient.read patient/Observation.rs?category=laboratory patient/Condition.r"}, clinician)
	if body["scope"] != "launch/patient user/Patient.rs user/Observation.rs?category=laboratory user/Condition.r" {
		t.Errorf("scope %v", body["scope"])
	}
	if resp, _ := r.get("Patient/amara-nwosu", word(body["access_token"]), nil); resp.StatusCode != http.StatusOK {
		t.Errorf("a clinician's user/ scope does not reach a patient: %d", resp.StatusCode)
	}
	// A patient's user/ scopes become patient/, which needs a patient.
	body = r.connect(map[string]string{"scope": "user/Patient.rs"}, Choice{})
	if body["scope"] != "patient/Patient.read" || body["patient"] != "amara-nwosu" {
		t.Errorf("%v", body)
	}

	// A confidential client is given a refresh token for offline_access alone.
	for scopes, want := range map[string]bool{"patient/*.rs offline_access": true, "patient/*.rs online_access": false, "patient/*.rs": false} {
		code := r.signIn(map[string]string{"client_id": "chartkey-confidential", "scope": scopes}, Choice{}).Get("code")
		form := exchangeForm(code)
		form.Del("client_id")
		_, body := r.post("/auth/token", form, func(q *http.Request) { q.SetBasicAuth("chartkey-confidential", SandboxSecret) })
		if (body["refresh_token"] != nil) != want || strings.Contains(word(body["scope"]), "_access") != want {
			t.Errorf("%s: %v", scopes, body)
		}
	}
}

func TestOpaqueTokenErrors(t *testing.T) {
	r := start(t, Options{Profile: ProfileEpic})
	for reason, form := range map[string]url.Values{
		"no such client is registered":          {"grant_type": {"authorization_code"}, "client_id": {"of-production"}, "code": {"x"}},
		"a confidential client did not":         {"grant_type": {"authorization_code"}, "client_id": {"chartkey-confidential"}, "code": {"x"}},
		"the client secret is wrong":            {"grant_type": {"authorization_code"}, "client_id": {"chartkey-confidential"}, "client_secret": {"old"}},
		"a public client sent a secret":         {"grant_type": {"authorization_code"}, "client_id": {"chartkey-demo"}, "client_secret": {"x"}},
		"the authorization code is not known":   exchangeForm("unknown"),
		"the PKCE verifier is not one":          {"grant_type": {"authorization_code"}, "client_id": {"chartkey-demo"}, "code": {r.signIn(nil, Choice{}).Get("code")}, "redirect_uri": {testRedirect}, "code_verifier": {"short"}},
		"the PKCE verifier does not match":      {"grant_type": {"authorization_code"}, "client_id": {"chartkey-demo"}, "code": {r.signIn(nil, Choice{}).Get("code")}, "redirect_uri": {testRedirect}, "code_verifier": {strings.Repeat("a", 43)}},
		"redirect_uri is not the one of the au": {"grant_type": {"authorization_code"}, "client_id": {"chartkey-demo"}, "code": {r.signIn(nil, Choice{}).Get("code")}, "redirect_uri": {testRedirect + "/"}, "code_verifier": {testVerifier}},
	} {
		resp, body := r.post("/auth/token", form, nil)
		if description, has := body["error_description"]; resp.StatusCode < 400 || body["error"] == nil || description != nil || !has {
			t.Errorf("%s: %d %v", reason, resp.StatusCode, body)
		}
		if !strings.Contains(r.lastVerdict(), reason) {
			t.Errorf("the log says %q, want %q", r.lastVerdict(), reason)
		}
	}
}

func TestWhatEpicAdvertises(t *testing.T) {
	// The members are those of Epic's own document, as it was published.
	published := []string{
		"authorization_endpoint", "token_endpoint", "token_endpoint_auth_methods_supported", "scopes_supported", "response_types_supported", "capabilities",
		"grant_types_supported", "code_challenge_methods_supported", "issuer", "jwks_uri",
	}
	slices.Sort(published)
	r := start(t, Options{Profile: ProfileEpic})
	_, doc := r.get(".well-known/smart-configuration", "", nil)
	if got := slices.Sorted(maps.Keys(doc)); !slices.Equal(got, published) {
		t.Errorf("members %v", got)
	}
	text, err := json.Marshal(doc)
	must(t, err)
	for _, absent := range []string{"revo", "introspect", "online", "none", "patient/", "iss_parameter"} {
		if strings.Contains(string(text), absent) {
			t.Errorf("%q is advertised in %s", absent, text)
		}
	}
	if !strings.Contains(string(text), "launch-standalone") || !strings.Contains(string(text), "fhirUser") {
		t.Errorf("too little is advertised in %s", text)
	}
	if _, statement := r.get("metadata", "", nil); strings.Contains(strings.ToLower(encode(t, statement)), "revoke") {
		t.Error("the CapabilityStatement has a revocation endpoint")
	}
	if q := r.signIn(nil, Choice{}); q.Has("iss") || q.Get("code") == "" {
		t.Errorf("callback %v", q)
	}
	for _, path := range []string{"/auth/revoke", "/nowhere", "/FHIR/.well-known/smart-configuration"} {
		req := mustRequest(t, r.Origin()+path)
		if path == "/auth/revoke" {
			req.Method = http.MethodPost
		}
		if resp, body := r.do(req); resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || !strings.Contains(r.lastVerdict(), "no such page") {
			t.Errorf("%s: %d %v, %s", path, resp.StatusCode, body, r.lastVerdict())
		}
	}

	// Switched one by one, while the server runs.
	must(t, r.SetTraits(traitNoRevocation))
	if _, doc = r.get(".well-known/smart-configuration", "", nil); doc["revocation_endpoint"] != nil || doc["authorization_response_iss_parameter_supported"] != true || doc["introspection_endpoint"] == nil {
		t.Errorf("no-revocation: %v", doc)
	}
	if resp, _ := r.post("/auth/revoke", url.Values{"token": {"x"}, "client_id": {"chartkey-demo"}}, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("revoked with %d", resp.StatusCode)
	}
	must(t, r.SetTraits(traitNoIssuer, traitNoIntrospection))
	if _, doc = r.get(".well-known/smart-configuration", "", nil); doc["revocation_endpoint"] == nil || doc["authorization_response_iss_parameter_supported"] != nil || doc["introspection_endpoint"] != nil {
		t.Errorf("no-issuer-parameter and no-introspection: %v", doc)
	}
	must(t, r.SetTraits())
	if _, doc = r.get(".well-known/smart-configuration", "", nil); doc["revocation_endpoint"] == nil || doc["introspection_endpoint"] == nil {
		t.Errorf("nothing on: %v", doc)
	}
	if resp, _ := r.do(mustRequest(t, r.Origin()+"/nowhere")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown path: %d", resp.StatusCode)
	}
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

func TestTheStatementForAClient(t *testing.T) {
	r := start(t, Options{Profile: ProfileEpic, Clients: []Client{{ID: "narrow", Type: Public, RedirectURIs: []string{testRedirect}, Scopes: "openid patient/Patient.rs user/Observation.rs"}}})
	types := func(client string) []string {
		_, doc := r.get("metadata", "", func(q *http.Request) { q.Header.Set("Epic-Client-ID", client) })
		var statement struct {
			Rest []struct{ Resource []struct{ Type string } }
		}
		must(t, json.Unmarshal([]byte(encode(t, doc)), &statement))
		var out []string
		for _, resource := range statement.Rest[0].Resource {
			out = append(out, resource.Type)
		}
		return out
	}
	if got := types("narrow"); !slices.Equal(got, []string{"Observation", "Patient"}) {
		t.Errorf("for the client: %v", got)
	}
	for _, id := range []string{"", "chartkey-demo", "nobody"} {
		if got := types(id); len(got) != len(resourceKinds) {
			t.Errorf("for %q: %v", id, got)
		}
	}
	if !strings.Contains(r.lastVerdict(), "not known") {
		t.Errorf("the log says %q", r.lastVerdict())
	}
	must(t, r.SetTraits())
	if got := types("narrow"); len(got) != len(resourceKinds) {
		t.Errorf("without the trait: %v", got)
	}
}

func TestRawBasicCredentials(t *testing.T) {
	const secret = "p+ss:w%rd/ö"
	r := start(t, Options{Clients: []Client{{ID: "app", Type: ConfidentialSymmetric, Secret: secret, RedirectURIs: []string{testRedirect}}}})
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}
	for _, raw := range []bool{false, true} {
		if raw {
			must(t, r.SetTraits(traitRawBasic))
		}
		_, asItIs := r.post("/auth/token", refresh, func(q *http.Request) { q.SetBasicAuth("app", secret) })
		_, encoded := r.post("/auth/token", refresh, func(q *http.Request) { q.SetBasicAuth("app", url.QueryEscape(secret)) })
		// invalid_grant means that the client was accepted.
		if raw != (asItIs["error"] == "invalid_grant") || raw == (encoded["error"] == "invalid_grant") {
			t.Errorf("raw %v: %v as it is, %v encoded", raw, asItIs, encoded)
		}
	}
}
