package smart_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/scope"
	"chartkey/backend/smart"
)

// answer is what a test server gives at a path.
type answer struct {
	status int
	kind   string
	body   string
	header map[string]string
}

func serve(t *testing.T, answers map[string]answer) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		for k, v := range a.header {
			w.Header().Set(k, v)
		}
		if a.kind != "" {
			w.Header().Set("Content-Type", a.kind)
		}
		if a.status != 0 {
			w.WriteHeader(a.status)
		}
		_, _ = w.Write([]byte(a.body))
	}))
	t.Cleanup(server.Close)
	return server
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDiscoverEpic(t *testing.T) {
	server := serve(t, map[string]answer{
		"/api/FHIR/R4/.well-known/smart-configuration": {kind: "application/json; charset=utf-8", body: read(t, "epic-r4-smart-configuration.json"), header: map[string]string{"Cache-Control": "public, max-age=600"}},
	})
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	c := &smart.Client{Now: func() time.Time { return now }}
	for _, base := range []string{server.URL + "/api/FHIR/R4", server.URL + "/api/FHIR/R4/"} {
		cfg, err := c.Discover(context.Background(), base)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.FHIRBaseURL != base || cfg.Source != smart.FromSmartConfiguration || cfg.Issuer != "https://fhir.epic.com/interconnect-fhir-oauth/oauth2" ||
			cfg.AuthorizationEndpoint != "https://fhir.epic.com/interconnect-fhir-oauth/oauth2/authorize" ||
			cfg.TokenEndpoint != "https://fhir.epic.com/interconnect-fhir-oauth/oauth2/token" || !strings.HasSuffix(cfg.JWKSURI, "/530027/OIDC") {
			t.Errorf("%+v", cfg)
		}
		if !cfg.Has("launch-standalone") || cfg.Has("launch") || cfg.ScopeVersion() != scope.V2 || len(cfg.Warnings) != 0 || cfg.RevocationEndpoint != "" {
			t.Errorf("%+v", cfg)
		}
		if !cfg.FetchedAt.Equal(now) || !cfg.ExpiresAt.Equal(now.Add(10*time.Minute)) {
			t.Errorf("from %v to %v", cfg.FetchedAt, cfg.ExpiresAt)
		}
		b, _ := json.Marshal(cfg)
		var back smart.Configuration
		if err := json.Unmarshal(b, &back); err != nil || back.TokenEndpoint != cfg.TokenEndpoint || !slices.Equal(back.Capabilities, cfg.Capabilities) || !back.ExpiresAt.Equal(cfg.ExpiresAt) {
			t.Errorf("the cache loses something: %+v, %v", back, err)
		}
	}
}

func TestDiscoverFallsBackToTheCapabilityStatement(t *testing.T) {
	metadata := answer{kind: "application/fhir+json", body: read(t, "epic-r4-capabilitystatement.json")}
	for name, first := range map[string]answer{
		"not found":         {status: 404},
		"page":              {kind: "text/html", body: "<!doctype html><html>"},
		"page as JSON type": {kind: "application/json", body: "\n<html>"},
		"broken":            {kind: "application/json", body: `{"token_endpoint":`},
		"a list":            {kind: "application/json", body: `[]`},
		"nothing in it":     {kind: "application/json", body: `{}`},
		"own failure":       {status: 500},
		"forbidden":         {status: 403},
		"too large":         {kind: "application/json", body: `{"x":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, map[string]answer{"/fhir/.well-known/smart-configuration": first, "/fhir/metadata": metadata})
			cfg, err := (&smart.Client{}).Discover(context.Background(), server.URL+"/fhir/")
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Source != smart.FromCapabilityStatement || cfg.TokenEndpoint != "https://fhir.epic.com/interconnect-fhir-oauth/oauth2/token" ||
				cfg.ScopeVersion() != scope.V1 || len(cfg.Warnings) != 1 {
				t.Errorf("%+v", cfg)
			}
		})
	}
}

func TestDiscoverAsksForTheRightTypes(t *testing.T) {
	accepts := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accepts[r.URL.Path] = r.Header.Get("Accept")
		if r.Header.Get("Authorization") != "" || r.Method != http.MethodGet {
			t.Error("discovery is a plain GET")
		}
		http.NotFound(w, r)
	}))
	defer server.Close()
	_, err := (&smart.Client{}).Discover(context.Background(), server.URL+"/fhir/")
	if fault.Code(err) != "discovery-not-found" {
		t.Error(err)
	}
	if accepts["/fhir/.well-known/smart-configuration"] != "application/json" || accepts["/fhir/metadata"] != "application/fhir+json" || len(accepts) != 2 {
		t.Errorf("%v", accepts)
	}
}

func TestDiscoverFaults(t *testing.T) {
	const auth, token = `"authorization_endpoint":"https://ehr.example/a"`, `"token_endpoint":"https://ehr.example/t"`
	page := answer{kind: "text/html", body: "<html>Not here</html>"}
	js := func(body string) answer { return answer{kind: "application/json", body: body} }
	for _, c := range []struct {
		name      string
		first     answer
		code      string
		retryable bool
	}{
		{"page everywhere", page, "discovery-not-json", false},
		{"broken JSON", js(`{`), "discovery-invalid", false},
		{"no token endpoint", js(`{` + auth + `}`), "discovery-incomplete", false},
		{"no authorization endpoint", js(`{` + token + `}`), "discovery-incomplete", false},
		{"launches and no authorization endpoint", js(`{` + token + `,"capabilities":["client-confidential-asymmetric","launch-ehr"]}`), "discovery-incomplete", false},
		{"endpoint of a wrong type", js(`{` + auth + `,"token_endpoint":7}`), "discovery-incomplete", false},
		{"http endpoint", js(`{` + auth + `,"token_endpoint":"http://ehr.example/t"}`), "discovery-endpoint-insecure", false},
		{"script endpoint", js(`{"authorization_endpoint":"javascript:alert(1)",` + token + `}`), "discovery-endpoint-insecure", false},
		{"endpoint with a password", js(`{` + auth + `,"token_endpoint":"https://u:p@ehr.example/t"}`), "discovery-endpoint-insecure", false},
		{"endpoint with a fragment", js(`{` + auth + `,"token_endpoint":"https://ehr.example/t#x"}`), "discovery-endpoint-insecure", false},
		{"scheme-relative endpoint to http", js(`{` + auth + `,"token_endpoint":"//ehr.example/t"}`), "discovery-endpoint-insecure", false},
		{"down", answer{status: 503, header: map[string]string{"Retry-After": "90"}}, "server-unavailable", true},
		{"forbidden", answer{status: 403}, "discovery-not-allowed", false},
		{"own failure", answer{status: 500}, "discovery-failed", true},
		{"too large", js(strings.Repeat(" ", 1<<20) + "{}"), network.CodeTooLarge, false},
		{"redirect away", answer{status: 302, header: map[string]string{"Location": "https://ehr.example/x"}}, network.CodeRedirect, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := serve(t, map[string]answer{"/fhir/.well-known/smart-configuration": c.first, "/fhir/metadata": page})
			_, err := (&smart.Client{}).Discover(context.Background(), server.URL+"/fhir")
			f := fault.From(err)
			if err == nil || f.Code != c.code || f.Retryable != c.retryable || f.Advice == "" {
				t.Errorf("%+v", f)
			}
			if c.name == "down" && !strings.Contains(f.Message, "1m30s") {
				t.Error(f.Message)
			}
		})
	}
	t.Run("a base that cannot be one", func(t *testing.T) {
		if _, err := (&smart.Client{}).Discover(context.Background(), "http://ehr.example/fhir"); fault.Code(err) != "base-url-not-https" {
			t.Error(err)
		}
	})
	t.Run("unknown authority, then trusted", func(t *testing.T) {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{` + auth + `,` + token + `}`))
		}))
		defer server.Close()
		if _, err := (&smart.Client{}).Discover(context.Background(), server.URL); fault.Code(err) != network.CodeTLSUntrusted {
			t.Error(err)
		}
		if _, err := (&smart.Client{HTTP: server.Client()}).Discover(context.Background(), server.URL); err != nil {
			t.Error(err)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		defer server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, err := (&smart.Client{}).Discover(ctx, server.URL); fault.Code(err) != network.CodeTimeout || !fault.From(err).Retryable {
			t.Error(err)
		}
	})
}

// A server for backend services alone has no sign-in (SMART App Launch 2.2, "Conformance").
func TestDiscoverAServerWithoutSignIn(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"token_endpoint":"http://`+r.Host+`/token","grant_types_supported":["client_credentials"],"capabilities":["client-confidential-asymmetric","permission-v2"]}`)
	}))
	defer s.Close()
	c := &smart.Client{}
	cfg, err := c.Discover(t.Context(), s.URL+"/fhir")
	if err != nil || cfg.TokenEndpoint != s.URL+"/token" || cfg.AuthorizationEndpoint != "" {
		t.Fatalf("%+v %v", cfg, err)
	}
	_, err = c.Authorization(cfg, smart.AuthorizationParams{ClientID: "x", RedirectURI: "http://localhost:18320/callback", Scopes: scopes(t, "openid")})
	if f := fault.From(err); fault.Code(err) != "sign-in-not-offered" || f.Advice == "" {
		t.Errorf("%+v", f)
	}
}

func TestRelativeEndpointsStandBelowTheBase(t *testing.T) {
	for given, want := range map[string]string{
		"auth/token":                 "/fhir/auth/token",
		"/oauth/token":               "/oauth/token",
		"../token":                   "/token",
		"http://localhost:1/a?x=%20": "http://localhost:1/a?x=%20",
	} {
		server := serve(t, map[string]answer{"/fhir/.well-known/smart-configuration": {body: `{"authorization_endpoint":"https://EHR.example/a","token_endpoint":"` + given + `","revocation_endpoint":"http://ehr.example/r","issuer":"http://ehr.example"}`}})
		cfg, err := (&smart.Client{}).Discover(context.Background(), server.URL+"/fhir")
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(want, "/") {
			want = server.URL + want
		}
		if cfg.TokenEndpoint != want || cfg.AuthorizationEndpoint != "https://EHR.example/a" {
			t.Errorf("%q became %q, want %q", given, cfg.TokenEndpoint, want)
		}
		if cfg.RevocationEndpoint != "" || len(cfg.Warnings) != 4 {
			t.Errorf("%+v", cfg)
		}
	}
}

func TestDiscoverFollowsARedirectAtHome(t *testing.T) {
	server := serve(t, map[string]answer{
		"/fhir/.well-known/smart-configuration": {status: 301, header: map[string]string{"Location": "/moved"}},
		"/moved":                                {body: read(t, "epic-r4-smart-configuration.json")},
	})
	if _, err := (&smart.Client{}).Discover(context.Background(), server.URL+"/fhir"); err != nil {
		t.Error(err)
	}
}

func TestLifetimeIsBounded(t *testing.T) {
	now := time.Now()
	for header, want := range map[string]time.Duration{
		"": time.Hour, "max-age=0": time.Minute, "no-store": time.Minute, "max-age=999999": 24 * time.Hour, "private, MAX-AGE=120": 2 * time.Minute, "max-age=x": time.Hour,
	} {
		server := serve(t, map[string]answer{"/.well-known/smart-configuration": {body: read(t, "epic-r4-smart-configuration.json"), header: map[string]string{"Cache-Control": header}}})
		cfg, err := (&smart.Client{Now: func() time.Time { return now }}).Discover(context.Background(), server.URL)
		if err != nil || cfg.ExpiresAt.Sub(cfg.FetchedAt) != want {
			t.Errorf("%q: %v, %v", header, cfg.ExpiresAt.Sub(cfg.FetchedAt), err)
		}
	}
}

func TestScopeVersion(t *testing.T) {
	for list, want := range map[string]scope.Version{"": scope.V2, "permission-v1": scope.V1, "permission-v2": scope.V2, "permission-v1 permission-v2": scope.V2} {
		if got := (smart.Configuration{Capabilities: strings.Fields(list)}).ScopeVersion(); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// FuzzDiscovery serves any document and checks that no unsafe endpoint comes out of it.
func FuzzDiscovery(f *testing.F) {
	for _, s := range []string{
		`{"authorization_endpoint":"https://a/b","token_endpoint":"https://a/c","capabilities":["x",1],"issuer":"https://a"}`,
		`{"authorization_endpoint":"a","token_endpoint":"//h/c"}`,
		`{"authorization_endpoint":"http://localhost/a","token_endpoint":"http://127.0.0.1:1/"}`,
		`{"resourceType":"CapabilityStatement","rest":[{"security":{"extension":[{"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris","extension":[{"url":"authorize","valueUri":"https://a/b"},{"url":"token","valueUri":"http://b/"}]}]}}]}`,
		`[]`, `null`, `{`, `<html>`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		// A transport in memory: the bytes matter here, and sockets would slow the search.
		c := &smart.Client{HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			_, _ = w.Write(body)
			w.Header().Set("Content-Type", "application/json")
			return w
		})}}
		for _, base := range []string{"https://ehr.example/fhir", "http://localhost:1/fhir"} {
			cfg, err := c.Discover(context.Background(), base)
			if err != nil {
				if fault.Code(err) == "" {
					t.Errorf("no fault: %v", err)
				}
				continue
			}
			for _, e := range []string{cfg.AuthorizationEndpoint, cfg.TokenEndpoint, cfg.JWKSURI, cfg.RegistrationEndpoint, cfg.RevocationEndpoint, cfg.IntrospectionEndpoint, cfg.ManagementEndpoint} {
				if e == "" {
					continue
				}
				u, err := url.Parse(e)
				if err != nil || u.User != nil || u.Fragment != "" || u.Hostname() == "" {
					t.Errorf("endpoint %q", e)
				}
				if u.Scheme != "https" && (u.Scheme != "http" || !smart.IsLoopbackHost(u.Hostname()) || strings.HasPrefix(base, "https:")) {
					t.Errorf("unsafe endpoint %q for %s", e, base)
				}
			}
			if cfg.AuthorizationEndpoint == "" || cfg.TokenEndpoint == "" {
				t.Error("an endpoint is missing")
			}
		}
	})
}

type roundTripper func(*http.Request) *httptest.ResponseRecorder

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := f(r).Result()
	resp.Request = r
	return resp, nil
}
