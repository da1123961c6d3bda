package workstation_test

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/workstation"

	"github.com/go-jose/go-jose/v4"
)

const epicsOrigin = "https://fhir.epic.com"

// publishedEHR is a server over TLS that says of itself what Epic's sandbox
// published, with the names of its own host.
type publishedEHR struct {
	*httptest.Server
	mu       sync.Mutex // protects the two below
	requests []string
	spilled  []string // what a survey must not send
	// smart and statement change the documents.
	smart, statement func(doc map[string]any)
	keys             string
	authorize, token http.HandlerFunc
}

func (e *publishedEHR) base() string { return e.URL + "/interconnect-fhir-oauth/api/FHIR/R4" }

func (e *publishedEHR) document(t *testing.T, file string, change func(doc map[string]any)) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), epicsOrigin, e.URL)), &doc); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(doc)
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newPublishedEHR(t *testing.T) *publishedEHR {
	t.Helper()
	e := &publishedEHR{
		keys: publicKeys(t),
		authorize: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<p>Something went wrong</p>")
		},
		token: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_request","error_description":null}`)
		},
	}
	const at = "/interconnect-fhir-oauth"
	mux := http.NewServeMux()
	serve := func(path, kind string, body func() []byte) {
		mux.HandleFunc("GET "+at+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(body())
		})
	}
	serve("/api/FHIR/R4/.well-known/smart-configuration", "application/json; charset=utf-8", func() []byte { return e.document(t, "../smart/testdata/epic-r4-smart-configuration.json", e.smart) })
	serve("/api/FHIR/R4/metadata", "application/fhir+json", func() []byte { return e.document(t, "testdata/epic-r4-capabilitystatement.json", e.statement) })
	serve("/api/epic/2019/Security/Open/PublicKeys/530027/OIDC", "application/json", func() []byte { return []byte(e.keys) })
	mux.HandleFunc("GET "+at+"/oauth2/authorize", func(w http.ResponseWriter, r *http.Request) { e.authorize(w, r) })
	mux.HandleFunc("POST "+at+"/oauth2/token", func(w http.ResponseWriter, r *http.Request) { e.token(w, r) })
	e.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		e.requests = append(e.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, at))
		for _, header := range []string{"Authorization", "Cookie"} {
			if r.Header.Get(header) != "" {
				e.spilled = append(e.spilled, header)
			}
		}
		for name := range r.Form {
			e.spilled = append(e.spilled, name)
		}
		e.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func publicKeys(t *testing.T) string {
	t.Helper()
	public, err := os.ReadFile(filepath.Join("..", "smart", "testdata", "vectors", "smart-RS384.private.json"))
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(public, &set); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{set.Keys[0].Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// surveyed is a workstation that trusts the server, with a registration at it.
func (e *publishedEHR) surveyed(t *testing.T, change func(in *workstation.RegistrationInput)) (*workstation.Workstation, workstation.Registration) {
	t.Helper()
	w := openDesk(t, filepath.Join(t.TempDir(), "data"), &clock{})
	if _, err := w.SetAuthorities(t.Context(), "", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw})); err != nil {
		t.Fatal(err)
	}
	in := workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: e.base(), ClientID: "canary-client", EHR: "epic", Environment: "sandbox"}
	if change != nil {
		change(&in)
	}
	reg, _, err := w.SaveRegistration(t.Context(), "", in)
	if err != nil {
		t.Fatal(err)
	}
	return w, reg
}

func items(s workstation.Survey) map[string]workstation.SurveyItem {
	out := map[string]workstation.SurveyItem{}
	for _, i := range s.Items {
		out[i.ID] = i
	}
	return out
}

// wantItems compares results by id, and looks that each item says enough.
func wantItems(t *testing.T, s workstation.Survey, want map[string]workstation.Result) {
	t.Helper()
	got := items(s)
	for id, result := range want {
		if got[id].Result != result {
			t.Errorf("%s is %q, want %q: %+v", id, got[id].Result, result, got[id])
		}
	}
	for _, i := range s.Items {
		if i.Title == "" || i.Meaning == "" || i.Declared+i.Seen == "" || (i.Advice == "") != (i.Result == workstation.Pass || i.Result == workstation.Info) && i.Result != workstation.Info {
			t.Errorf("%s says too little or too much: %+v", i.ID, i)
		}
	}
	failed := slices.ContainsFunc(s.Items, func(i workstation.SurveyItem) bool { return i.Result == workstation.Fail })
	if s.OK == failed {
		t.Errorf("ok is %v, and an item failed is %v", s.OK, failed)
	}
}

func TestSurveyOfEpicsPublishedStatements(t *testing.T) {
	const pass, warning, info = workstation.Pass, workstation.Warning, workstation.Info
	always := map[string]workstation.Result{
		"smart-configuration": pass, "capability-statement": pass, "endpoints-agree": pass, "endpoints-secure": pass, "clock": pass, "origins": pass,
		"tls": pass, "certificate": pass, "capability-launch-standalone": pass, "capability-launch-ehr": pass, "scope-grammar": pass, "scopes": info,
		"grant-types": pass, "pkce": pass, "revocation": info, "introspection": info, "registration": info, "issuer": pass, "issuer-in-answer": info,
		"jwks": pass, "authorization-endpoint": pass, "token-endpoint": pass, "fhir-version": pass, "formats": pass, "resources": pass, "search-parameters": pass,
	}
	for name, c := range map[string]struct {
		change func(in *workstation.RegistrationInput)
		want   map[string]workstation.Result
	}{
		"a public app for patients": {func(in *workstation.RegistrationInput) { in.OfflineAccess = new(true) }, map[string]workstation.Result{
			"capability-client-public": pass, "capability-permission-patient": pass, "capability-context-standalone-patient": pass, "client-authentication": info, "offline-access": warning,
		}},
		"a confidential app for providers": {func(in *workstation.RegistrationInput) {
			in.ClientType, in.ClientSecret, in.Audience, in.OfflineAccess = "confidential-symmetric", "canary-secret", "provider", new(true)
		}, map[string]workstation.Result{
			"capability-client-confidential-symmetric": pass, "capability-permission-user": pass, "capability-permission-offline": pass, "client-authentication": pass, "offline-access": "",
		}},
		"scopes that Epic does not serve": {func(in *workstation.RegistrationInput) {
			in.Scopes = strings.Fields("openid launch/encounter patient/Observation.rs?no-such=1 patient/Spaceship.rs patient/AllergyIntolerance.d")
		}, map[string]workstation.Result{
			"capability-context-standalone-encounter": warning, "resources": warning, "search-parameters": warning, "scopes": warning,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newPublishedEHR(t)
			w, reg := e.surveyed(t, c.change)
			var told []workstation.SurveyItem
			survey, err := w.Survey(t.Context(), "Mercy", func(i workstation.SurveyItem) { told = append(told, i) })
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]workstation.Result{}
			for _, m := range []map[string]workstation.Result{always, c.want} {
				for id, result := range m {
					want[id] = result
				}
			}
			wantItems(t, survey, want)
			if !survey.OK || survey.RegistrationID != reg.ID || !slices.Equal(told, survey.Items) {
				t.Errorf("ok %v of %s, %d of %d items told", survey.OK, survey.RegistrationID, len(told), len(survey.Items))
			}
			slices.Sort(e.requests)
			if once := slices.Compact(slices.Clone(e.requests)); len(e.requests) != 5 || len(once) != 5 {
				t.Errorf("the server was asked %q", e.requests)
			}
			if len(e.spilled) > 0 {
				t.Errorf("the survey sent %q", e.spilled)
			}
			all, err := w.AuditLog(t.Context(), 5)
			if err != nil {
				t.Fatal(err)
			}
			if a := all[0]; a.Action != "test" || a.Detail != "survey" || a.RegistrationID != reg.ID {
				t.Errorf("the record's latest is %+v", a)
			}
		})
	}
}

func TestSurveyNamesWhatIsAmiss(t *testing.T) {
	const pass, warning, info, failed = workstation.Pass, workstation.Warning, workstation.Info, workstation.Fail
	set := func(name string, value any) func(map[string]any) {
		return func(doc map[string]any) { doc[name] = value }
	}
	privateKey := jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), KeyID: "k"}
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{privateKey}})
	if err != nil {
		t.Fatal(err)
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	for name, c := range map[string]struct {
		change func(e *publishedEHR)
		want   map[string]workstation.Result
		says   string // by the item that the want names first in order
	}{
		"PKCE plain":                    {func(e *publishedEHR) { e.smart = set("code_challenge_methods_supported", []string{"S256", "plain"}) }, map[string]workstation.Result{"pkce": warning}, "plain"},
		"no PKCE":                       {func(e *publishedEHR) { e.smart = set("code_challenge_methods_supported", nil) }, map[string]workstation.Result{"pkce": warning}, "S256"},
		"http endpoint":                 {func(e *publishedEHR) { e.smart = set("revocation_endpoint", "http://ehr.example/revoke") }, map[string]workstation.Result{"endpoints-secure": warning, "revocation": info}, "revocation_endpoint"},
		"http token endpoint":           {func(e *publishedEHR) { e.smart = set("token_endpoint", "http://ehr.example/token") }, map[string]workstation.Result{"smart-configuration": failed, "token-endpoint": ""}, "token_endpoint"},
		"elsewhere":                     {func(e *publishedEHR) { e.smart = set("introspection_endpoint", "https://localhost:1/introspect") }, map[string]workstation.Result{"origins": info, "tls": failed}, "introspection at https://localhost:1"},
		"disagreeing":                   {func(e *publishedEHR) { e.smart = set("token_endpoint", e.URL+"/interconnect-fhir-oauth/oauth2/tokens") }, map[string]workstation.Result{"endpoints-agree": warning, "token-endpoint": warning}, "oauth2/tokens"},
		"no code":                       {func(e *publishedEHR) { e.smart = set("grant_types_supported", []string{"client_credentials"}) }, map[string]workstation.Result{"grant-types": failed}, "client_credentials"},
		"no capabilities":               {func(e *publishedEHR) { e.smart = set("capabilities", []string{"launch-ehr"}) }, map[string]workstation.Result{"capability-client-public": warning, "capability-launch-standalone": warning, "capability-permission-patient": warning}, ""},
		"SMART 1 alone":                 {func(e *publishedEHR) { e.smart = set("capabilities", []string{"permission-v1"}) }, map[string]workstation.Result{"scope-grammar": pass}, "SMART 1"},
		"other scopes":                  {func(e *publishedEHR) { e.smart = set("scopes_supported", []string{"patient/Coverage.rs"}) }, map[string]workstation.Result{"scopes": warning}, "patient/Observation.rs"},
		"no issuer":                     {func(e *publishedEHR) { e.smart = set("issuer", nil) }, map[string]workstation.Result{"issuer": warning}, ""},
		"issuer elsewhere":              {func(e *publishedEHR) { e.smart = set("issuer", "https://id.example.org") }, map[string]workstation.Result{"issuer": info}, "id.example.org"},
		"iss in answers":                {func(e *publishedEHR) { e.smart = set("authorization_response_iss_parameter_supported", true) }, map[string]workstation.Result{"issuer-in-answer": pass}, ""},
		"no keys":                       {func(e *publishedEHR) { e.keys = `{"keys":[]}` }, map[string]workstation.Result{"jwks": failed}, "(0), 0 can"},
		"keys for encryption":           {func(e *publishedEHR) { e.keys = strings.Replace(e.keys, `"kty"`, `"use":"enc","kty"`, 1) }, map[string]workstation.Result{"jwks": failed}, "(1), 0 can"},
		"keys that are no set":          {func(e *publishedEHR) { e.keys = `[]` }, map[string]workstation.Result{"jwks": failed}, "no set of keys"},
		"private keys":                  {func(e *publishedEHR) { e.keys = string(private) }, map[string]workstation.Result{"jwks": failed}, "private half"},
		"DSTU2":                         {func(e *publishedEHR) { e.statement = set("fhirVersion", "1.0.2") }, map[string]workstation.Result{"fhir-version": failed}, "1.0.2"},
		"XML alone":                     {func(e *publishedEHR) { e.statement = set("format", []string{"xml"}) }, map[string]workstation.Result{"formats": warning}, "xml"},
		"nothing served":                {func(e *publishedEHR) { e.statement = set("rest", []any{}) }, map[string]workstation.Result{"resources": warning, "endpoints-agree": info}, "Observation is not served"},
		"sign-in that redirects":        {func(e *publishedEHR) { e.authorize = redirect("https://elsewhere.example/login?token=canary-query") }, map[string]workstation.Result{"authorization-endpoint": warning}, "https://elsewhere.example"},
		"sign-in that redirects within": {func(e *publishedEHR) { e.authorize = redirect("/error") }, map[string]workstation.Result{"authorization-endpoint": pass}, "within"},
		"sign-in that is not there":     {func(e *publishedEHR) { e.authorize = http.NotFound }, map[string]workstation.Result{"authorization-endpoint": warning}, "404"},
		"token endpoint that is a page": {func(e *publishedEHR) {
			e.token = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }
		}, map[string]workstation.Result{"token-endpoint": warning}, "no OAuth error"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newPublishedEHR(t)
			c.change(e)
			w, reg := e.surveyed(t, nil)
			survey, err := w.Survey(t.Context(), reg.ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantItems(t, survey, c.want)
			var said strings.Builder
			for _, i := range survey.Items {
				if _, named := c.want[i.ID]; named {
					said.WriteString(i.Declared + " " + i.Seen + " " + i.Meaning + "\n")
				}
			}
			if !strings.Contains(said.String(), c.says) || strings.Contains(said.String(), "canary") {
				t.Errorf("it says:\n%s", said.String())
			}
		})
	}
}

func TestSurveyOfTheSimulatorAndItsFaults(t *testing.T) {
	const pass, warning, info, failed = workstation.Pass, workstation.Warning, workstation.Info, workstation.Fail
	b := newBench(t, simulator.Settings{})
	reg, _ := b.connected(t)
	survey := func() workstation.Survey {
		s, err := b.Survey(t.Context(), reg.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := survey()
	wantItems(t, s, map[string]workstation.Result{"tls": info, "revocation": info, "scopes": pass, "issuer-in-answer": pass, "client-authentication": pass})
	if traces, err := b.Traces(t.Context(), reg.ID, 1); err != nil || len(traces) != 1 || traces[0].Operation != "test" || len(traces[0].Exchanges) != 5 {
		t.Errorf("the trace is %+v %v", traces, err)
	}
	for _, i := range s.Items {
		if i.Result == warning || i.Result == failed {
			t.Errorf("of the simulator as the specification has it: %+v", i)
		}
	}
	if err := b.ehr.SetProfile(simulator.ProfileEpic); err != nil {
		t.Fatal(err)
	}
	s = survey()
	wantItems(t, s, map[string]workstation.Result{"authorization-endpoint": pass, "token-endpoint": pass, "issuer-in-answer": info, "scopes": info})
	if !s.OK {
		t.Errorf("of the simulator as Epic: %+v", s.Items)
	}
	if err := b.ehr.SetProfile(simulator.ProfileSpec); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fault string
		want  map[string]workstation.Result
	}{
		{"no-smart-configuration", map[string]workstation.Result{"smart-configuration": warning, "capabilities": info, "pkce": "", "token-endpoint": pass}},
		{"discovery-html", map[string]workstation.Result{"smart-configuration": failed, "capability-statement": warning, "token-endpoint": ""}},
		{"discovery-truncated", map[string]workstation.Result{"smart-configuration": failed}},
		{"discovery-503", map[string]workstation.Result{"smart-configuration": failed}},
		{"token-500", map[string]workstation.Result{"token-endpoint": warning}},
		{"token-reset", map[string]workstation.Result{"token-endpoint": failed}},
		{"token-oversized", map[string]workstation.Result{"token-endpoint": failed}},
		{"token-redirect", map[string]workstation.Result{"token-endpoint": failed}},
		{"error-with-200", map[string]workstation.Result{"token-endpoint": warning}},
		{"keys-500", map[string]workstation.Result{"jwks": failed}},
		{"clock-ahead", map[string]workstation.Result{"clock": warning}},
		{"clock-behind", map[string]workstation.Result{"clock": warning}},
	} {
		if err := b.ehr.SetFaults(c.fault); err != nil {
			t.Fatal(err)
		}
		t.Run(c.fault, func(t *testing.T) { wantItems(t, survey(), c.want) })
	}
}

func TestSurveyOfCertificates(t *testing.T) {
	for mode, c := range map[string]struct {
		trust   bool
		pass    time.Duration
		want    map[string]workstation.Result
		failing bool
	}{
		simulator.TLSExpired:          {true, 0, map[string]workstation.Result{"tls": workstation.Fail}, true},
		simulator.TLSUnknownAuthority: {true, 0, map[string]workstation.Result{"tls": workstation.Pass, "certificate": workstation.Warning}, false},
		"untrusted":                   {false, 0, map[string]workstation.Result{"tls": workstation.Fail, "certificate": ""}, true},
	} {
		t.Run(mode, func(t *testing.T) {
			kind := mode
			if !c.trust {
				kind = simulator.TLSUnknownAuthority
			}
			ehr, err := simulator.New(simulator.Options{TLS: kind})
			if err != nil {
				t.Fatal(err)
			}
			if err := ehr.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ehr.Close(t.Context()) }()
			w := openDesk(t, filepath.Join(t.TempDir(), "data"), &clock{})
			if c.trust {
				if _, err := w.SetAuthorities(t.Context(), "", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ehr.Authority().Raw})); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := w.SaveRegistration(t.Context(), "", workstation.RegistrationInput{Name: "Mercy", FHIRBaseURL: ehr.FHIRBaseURL(), ClientID: "x"}); err != nil {
				t.Fatal(err)
			}
			survey, err := w.Survey(t.Context(), "Mercy", nil)
			if err != nil {
				t.Fatal(err)
			}
			wantItems(t, survey, c.want)
		})
	}
	w := openDesk(t, filepath.Join(t.TempDir(), "data"), &clock{})
	if _, err := w.Survey(t.Context(), "Nowhere", nil); fault.Code(err) != "registration-not-found" {
		t.Errorf("a survey of no registration: %v", err)
	}
}
