package smart_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
)

// TestRegisterAndSignIn registers an app of each type and uses what came of it.
func TestRegisterAndSignIn(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	key := ecKey(t)
	for _, c := range []struct {
		method smart.AuthMethod
		client smart.ClientType
	}{
		{smart.AuthNone, smart.Public}, {smart.AuthBasic, smart.ConfidentialSymmetric}, {smart.AuthPost, smart.ConfidentialSymmetric}, {smart.AuthPrivateKeyJWT, smart.ConfidentialAsymmetric},
	} {
		t.Run(string(c.method), func(t *testing.T) {
			m := smart.ClientMetadata{ClientName: "Reader", RedirectURIs: []string{sandboxRedirect}, LaunchURL: "http://localhost:18330/launch", AuthMethod: c.method, Scopes: scopes(t, everyScope), SoftwareID: "reader"}
			if c.method == smart.AuthPrivateKeyJWT {
				m.Keys = []smart.ClientKey{key}
			}
			got, err := s.client.Register(t.Context(), s.cfg, m, secret.Value{})
			if err != nil {
				t.Fatal(err, s.verdict())
			}
			if got.ClientID == "" || got.Type != c.client || got.AuthMethod != c.method || got.Secret.IsEmpty() == (c.client == smart.ConfidentialSymmetric) || !got.SecretExpiresAt.IsZero() ||
				time.Since(got.IssuedAt).Abs() > time.Minute || !slices.Equal(got.RedirectURIs, m.RedirectURIs) || got.Scopes.String() != everyScope || len(got.Warnings) != 0 {
				t.Errorf("%+v", got)
			}
			auth := smart.ClientAuth{Type: got.Type, ClientID: got.ClientID, Secret: got.Secret, Method: got.AuthMethod}
			if c.client == smart.ConfidentialAsymmetric {
				auth.Key = key
			}
			a, code := s.authorize(t, got.ClientID, everyScope)
			tokens, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
			if err != nil || tokens.AuthMethod != c.method {
				t.Fatal(err, tokens.AuthMethod, s.verdict())
			}
			if _, err := s.client.Refresh(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.Scopes); err != nil {
				t.Error(err, s.verdict())
			}
		})
	}
	t.Run("a backend service", func(t *testing.T) {
		got, err := s.client.Register(t.Context(), s.cfg, smart.ClientMetadata{AuthMethod: smart.AuthPrivateKeyJWT, GrantTypes: []string{"client_credentials"}, Keys: []smart.ClientKey{key}, Scopes: scopes(t, "system/*.rs")}, secret.Value{})
		if err != nil {
			t.Fatal(err, s.verdict())
		}
		if _, err := s.client.ClientCredentials(t.Context(), s.cfg, asymmetric(got.ClientID, key), scopes(t, "system/*.rs")); err != nil {
			t.Error(err, s.verdict())
		}
	})
	t.Run("what the server does not take", func(t *testing.T) {
		got, err := s.client.Register(t.Context(), s.cfg, smart.ClientMetadata{AuthMethod: smart.AuthNone, RedirectURIs: []string{"javascript:alert(1)"}}, secret.Value{})
		if f := fault.From(err); f.Code != "registration-redirect-uri" || !strings.Contains(f.Message, "javascript") || got.ClientID != "" {
			t.Errorf("%+v %+v", got, f)
		}
		_, err = s.client.Register(t.Context(), s.cfg, smart.ClientMetadata{AuthMethod: smart.AuthNone, RedirectURIs: []string{sandboxRedirect}, GrantTypes: []string{"authorization_code", "password"}}, secret.Value{})
		if fault.Code(err) != "registration-refused" {
			t.Error(err)
		}
	})
}

func TestRegistrationsThatAreNotSent(t *testing.T) {
	e := newEHR(t)
	e.register = func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }
	uris := []string{sandboxRedirect}
	for name, c := range map[string]struct {
		m    smart.ClientMetadata
		edit func(*smart.Configuration)
		code string
	}{
		"no redirect URI":    {smart.ClientMetadata{AuthMethod: smart.AuthNone}, nil, "redirect-uri-missing"},
		"no method":          {smart.ClientMetadata{RedirectURIs: uris}, nil, "registration-method-unknown"},
		"our own method":     {smart.ClientMetadata{RedirectURIs: uris, AuthMethod: smart.AuthBasicRaw}, nil, "registration-method-unknown"},
		"no key":             {smart.ClientMetadata{RedirectURIs: uris, AuthMethod: smart.AuthPrivateKeyJWT}, nil, "client-key-missing"},
		"an empty key":       {smart.ClientMetadata{RedirectURIs: uris, AuthMethod: smart.AuthPrivateKeyJWT, Keys: []smart.ClientKey{{}}}, nil, "client-key-missing"},
		"keys in two ways":   {smart.ClientMetadata{RedirectURIs: uris, AuthMethod: smart.AuthPrivateKeyJWT, Keys: []smart.ClientKey{ecKey(t)}, JWKSURL: "https://app.example/jwks"}, nil, "registration-keys"},
		"keys by plain http": {smart.ClientMetadata{RedirectURIs: uris, AuthMethod: smart.AuthPrivateKeyJWT, JWKSURL: "http://app.example/jwks"}, nil, "client-jwks-url"},
		"no endpoint":        {smart.ClientMetadata{RedirectURIs: uris, AuthMethod: smart.AuthNone}, func(c *smart.Configuration) { c.RegistrationEndpoint = "" }, "registration-unsupported"},
		"plain http":         {smart.ClientMetadata{RedirectURIs: uris, AuthMethod: smart.AuthNone}, func(c *smart.Configuration) { c.RegistrationEndpoint = "http://ehr.example/r" }, "registration-unsupported"},
	} {
		cfg := e.cfg()
		if c.edit != nil {
			c.edit(&cfg)
		}
		if _, err := (&smart.Client{}).Register(t.Context(), cfg, c.m, secret.New("initial")); fault.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRegistrationAnswers holds what a server says it registered against what was asked for.
func TestRegistrationAnswers(t *testing.T) {
	key, other := ecKey(t), rsaKey(t)
	set := func(keys ...smart.ClientKey) string {
		b, err := smart.PublicKeySet(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	signing := smart.ClientMetadata{RedirectURIs: []string{"https://app.example/cb"}, AuthMethod: smart.AuthPrivateKeyJWT, Keys: []smart.ClientKey{key}, SoftwareID: "sw"}
	secretly := smart.ClientMetadata{RedirectURIs: []string{"https://app.example/cb"}, AuthMethod: smart.AuthBasic}
	open := smart.ClientMetadata{RedirectURIs: []string{"https://app.example/cb"}, AuthMethod: smart.AuthNone}
	const echo = `"client_id":"c1","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code","refresh_token"]`
	keyed := `{` + echo + `,"token_endpoint_auth_method":"private_key_jwt"`
	for _, c := range []struct {
		name     string
		m        smart.ClientMetadata
		body     string
		code     string
		warnings int
		check    func(smart.RegisteredClient) bool
	}{
		{"all as asked", signing, keyed + `,"jwks":` + set(key) + `,"software_id":" sw"}`, "", 0, func(r smart.RegisteredClient) bool {
			return r.Type == smart.ConfidentialAsymmetric && r.ClientID == "c1"
		}},
		{"nothing but the ID", signing, `{"client_id":"c1"}`, "", 2, func(r smart.RegisteredClient) bool {
			return r.Type == smart.ConfidentialAsymmetric && r.AuthMethod == smart.AuthPrivateKeyJWT
		}},
		{"another software_id", signing, keyed + `,"software_id":"x"}`, "", 1, nil},
		{"a management address", signing, keyed + `,"registration_client_uri":"https://ehr.example/c1","registration_access_token":"rat"}`, "", 0, func(r smart.RegisteredClient) bool {
			return r.ManagementURL == "https://ehr.example/c1" && r.ManagementToken.Reveal() == "rat"
		}},
		{"a management address by plain http", signing, keyed + `,"registration_client_uri":"http://ehr.example/c1","registration_access_token":"rat"}`, "", 1, func(r smart.RegisteredClient) bool {
			return r.ManagementURL == "" && r.ManagementToken.IsEmpty()
		}},
		{"a secret beside the key", signing, keyed + `,"client_secret":"s3cret"}`, "", 1, func(r smart.RegisteredClient) bool { return r.Secret.IsEmpty() }},
		{"a secret", secretly, `{` + echo + `,"token_endpoint_auth_method":"client_secret_basic","client_secret":"s3cret","client_secret_expires_at":0,"client_id_issued_at":1632417134}`, "", 0, func(r smart.RegisteredClient) bool {
			return r.Secret.Reveal() == "s3cret" && r.SecretExpiresAt.IsZero() && r.IssuedAt.Unix() == 1632417134 && r.AuthMethod == smart.AuthBasic
		}},
		{"a secret in the body instead", secretly, `{` + echo + `,"token_endpoint_auth_method":"client_secret_post","client_secret":"s3cret","client_secret_expires_at":4000000000}`, "", 0, func(r smart.RegisteredClient) bool {
			return r.AuthMethod == smart.AuthPost && r.Type == smart.ConfidentialSymmetric && r.SecretExpiresAt.Year() == 2096
		}},
		{"more redirect URIs", open, `{"client_id":"c1","token_endpoint_auth_method":"none","redirect_uris":["https://app.example/cb","https://app.example/2"]}`, "", 1, nil},
		{"no refresh", open, `{"client_id":"c1","token_endpoint_auth_method":"none","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"]}`, "", 1, nil},
		{"fewer scopes", open, `{` + echo + `,"token_endpoint_auth_method":"none","scope":"openid"}`, "", 0, func(r smart.RegisteredClient) bool { return r.Scopes.String() == "openid" }},
		{"redirect URIs with hidden characters", open, `{` + strings.Replace(echo, `["https`, `["https://a\u202eb/","https`, 1) + `,"token_endpoint_auth_method":"none"}`, "", 1, func(r smart.RegisteredClient) bool { return len(r.RedirectURIs) == 1 }},

		{"no client ID", signing, `{"token_endpoint_auth_method":"private_key_jwt"}`, "registration-invalid", 0, nil},
		{"client ID of another kind", signing, `{"client_id":{"a":1}}`, "registration-invalid", 0, nil},
		{"client ID with a line break", signing, `{"client_id":"a\r\nX: y"}`, "registration-invalid", 0, nil},
		{"endless client ID", signing, `{"client_id":"` + strings.Repeat("x", 513) + `"}`, "registration-invalid", 0, nil},
		{"from key to secret", signing, `{` + echo + `,"token_endpoint_auth_method":"client_secret_basic","client_secret":"s3cret"}`, "registration-auth-method", 0, nil},
		{"from key to nothing", signing, `{` + echo + `,"token_endpoint_auth_method":"none"}`, "registration-auth-method", 0, nil},
		{"from secret to nothing", secretly, `{` + echo + `,"token_endpoint_auth_method":"none"}`, "registration-auth-method", 0, nil},
		{"from secret to key", secretly, `{` + echo + `,"token_endpoint_auth_method":"private_key_jwt"}`, "registration-auth-method", 0, nil},
		{"from nothing to secret", open, `{` + echo + `,"token_endpoint_auth_method":"client_secret_post","client_secret":"s3cret"}`, "registration-auth-method", 0, nil},
		{"to something else", open, `{` + echo + `,"token_endpoint_auth_method":"tls_client_auth"}`, "registration-auth-method", 0, nil},
		{"no secret", secretly, `{` + echo + `,"token_endpoint_auth_method":"client_secret_basic"}`, "registration-invalid", 0, nil},
		{"a secret with a line break", secretly, `{` + echo + `,"token_endpoint_auth_method":"client_secret_basic","client_secret":"a\nb"}`, "registration-invalid", 0, nil},
		{"a secret of the past", secretly, `{` + echo + `,"token_endpoint_auth_method":"client_secret_basic","client_secret":"s3cret","client_secret_expires_at":1}`, "registration-invalid", 0, nil},
		{"other redirect URIs", open, `{"client_id":"c1","token_endpoint_auth_method":"none","redirect_uris":["https://evil.example/cb"]}`, "registration-redirect-uri", 0, nil},
		{"no sign-in", open, `{"client_id":"c1","token_endpoint_auth_method":"none","redirect_uris":["https://app.example/cb"],"grant_types":["refresh_token"]}`, "registration-grant-type", 0, nil},
		{"another key", signing, keyed + `,"jwks":` + set(other) + `}`, "registration-keys", 0, nil},
		{"a key beside ours", signing, keyed + `,"jwks":` + set(key, other) + `}`, "registration-keys", 0, nil},
		{"no key at all", signing, keyed + `,"jwks":{"keys":[]}}`, "registration-keys", 0, nil},
		{"broken keys", signing, keyed + `,"jwks":[1]}`, "registration-keys", 0, nil},
		{"keys from elsewhere", signing, keyed + `,"jwks_uri":"https://evil.example/jwks"}`, "registration-keys", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEHR(t)
			e.register = says(201, c.body)
			r, err := (&smart.Client{}).Register(t.Context(), e.cfg(), c.m, secret.Value{})
			if fault.Code(err) != c.code || len(r.Warnings) != c.warnings || (c.check != nil && !c.check(r)) {
				t.Errorf("%+v %v", r, err)
			}
			// A client that the server made and that will not do can be told of.
			if c.code != "" && c.code != "registration-invalid" && r.ClientID != "c1" {
				t.Errorf("%+v", r)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%+v %+v", *fault.From(err), r), "s3cret") {
				t.Errorf("the secret shows: %+v", r)
			}
		})
	}
}

// Epic's own example of an answer, spaces and all.
func TestEpicsExampleOfARegistration(t *testing.T) {
	key := rsaKey(t)
	public := publicOf(t, key)
	public.KeyID, public.Use, public.Algorithm = "", "", ""
	bare, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	e := newEHR(t)
	e.register = says(201, `{"redirect_uris":[" https://fhir.epic.com/test/smart"],"token_endpoint_auth_method":"none","grant_types":["urn:ietf:params:oauth:grant-type:jwt-bearer"],
		"software_id":" d45049c3-3441-40ef-ab4d-b9cd86a17225","client_id":"G65DA2AF4-1C91-11EC-9280-0050568B7514","client_id_issued_at":1632417134,"jwks":{"keys":[`+string(bare)+`]}}`)
	r, err := (&smart.Client{}).RegisterInstance(t.Context(), e.cfg(), "d45049c3-3441-40ef-ab4d-b9cd86a17225", key, secret.New("initial"))
	if err != nil || r.ClientID != "G65DA2AF4-1C91-11EC-9280-0050568B7514" || r.Type != smart.Public || len(r.Warnings) != 0 || r.RedirectURIs[0] != "https://fhir.epic.com/test/smart" {
		t.Errorf("%+v %v", r, err)
	}
	for body, want := range map[string]smart.ClientType{`{"client_id":"G1"}`: smart.Public, `{"client_id":"G1","token_endpoint_auth_method":"private_key_jwt"}`: smart.ConfidentialAsymmetric} {
		e.register = says(201, body)
		if r, err := (&smart.Client{}).RegisterInstance(t.Context(), e.cfg(), "app", key, secret.New("initial")); err != nil || r.Type != want {
			t.Errorf("%s: %+v %v", body, r, err)
		}
	}
	for body, code := range map[string]string{
		`{"client_id":"G1","token_endpoint_auth_method":"client_secret_basic","client_secret":"x"}`: "registration-auth-method",
		`{"client_id":"G1","grant_types":["client_credentials"]}`:                                   "registration-grant-type",
	} {
		e.register = says(201, body)
		if _, err := (&smart.Client{}).RegisterInstance(t.Context(), e.cfg(), "app", key, secret.New("initial")); fault.Code(err) != code {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestRegistrationFaults(t *testing.T) {
	m := smart.ClientMetadata{RedirectURIs: []string{"https://app.example/cb"}, AuthMethod: smart.AuthNone}
	const token = "initial-canary-token"
	for _, c := range []struct {
		name            string
		answer          http.HandlerFunc
		anyone, granted string // without and with a token
		retryable       bool
	}{
		{"invalid_redirect_uri", says(400, `{"error":"invalid_redirect_uri","error_description":"initial-canary-token"}`), "registration-redirect-uri", "registration-redirect-uri", false},
		{"invalid_client_metadata", says(400, `{"error":"invalid_client_metadata"}`), "registration-refused", "registration-refused", false},
		{"own error", says(400, `{"error":"initial-canary-token"}`), "registration-refused", "registration-refused", false},
		{"invalid_token", says(401, `{"error":"invalid_token"}`), "registration-not-allowed", "registration-token-refused", false},
		{"401", says(401, ``), "registration-not-allowed", "registration-token-refused", false},
		{"403", says(403, ``), "registration-not-allowed", "registration-not-allowed", false},
		{"insufficient_scope", says(403, `{"error":"insufficient_scope"}`), "registration-not-allowed", "registration-not-allowed", false},
		{"404", says(404, `<html>`), "registration-unsupported", "registration-unsupported", false},
		{"an unknown path at Epic", says(200, `<html>Welcome`), "registration-invalid", "registration-invalid", false},
		{"503", says(503, ``), "server-unavailable", "server-unavailable", true},
		{"418", says(418, `{}`), "registration-refused", "registration-refused", false},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, "registration-refused", "registration-refused", false},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, network.CodeConnectionFailed, network.CodeConnectionFailed, true},
		{"too large", says(201, `{"client_id":"`+strings.Repeat("x", 1<<20)+`"}`), network.CodeTooLarge, network.CodeTooLarge, false},
	} {
		for shown, want := range map[string]string{"": c.anyone, token: c.granted} {
			e := newEHR(t)
			e.register = c.answer
			_, err := (&smart.Client{}).Register(t.Context(), e.cfg(), m, secret.New(shown))
			f := fault.From(err)
			if err == nil || f.Code != want || f.Retryable != c.retryable || f.Advice == "" {
				t.Errorf("%s with %q: %+v", c.name, shown, f)
			}
			if shown != "" && strings.Contains(fmt.Sprintf("%+v %v", *f, f.Unwrap()), token) {
				t.Errorf("%s: the token shows: %+v", c.name, f)
			}
		}
	}
}

func FuzzRegistrationAnswer(f *testing.F) {
	for _, s := range []string{
		`{"client_id":"c1","client_secret":"CANARY","client_secret_expires_at":0,"registration_access_token":"CANARY","registration_client_uri":"https://ehr.example/CANARY"}`,
		`{"client_id":"c1","token_endpoint_auth_method":"none","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"],"scope":"openid"}`,
		`{"client_id":"c1","token_endpoint_auth_method":"CANARY","client_secret":"CANARY"}`, `{"error":"CANARY","error_description":"CANARY"}`, `{"client_id":"c1","jwks":{"keys":[{}]}}`, `{"client_id":["c1"],"redirect_uris":{},"client_id_issued_at":"1e99"}`, `null`, `[]`, `<html>`, ``,
	} {
		f.Add([]byte(s), 201)
		f.Add([]byte(s), 400)
	}
	const canary = "canary-91be77"
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		if status < 200 || status > 599 {
			return
		}
		body = []byte(strings.ReplaceAll(string(body), "CANARY", canary))
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		c := &smart.Client{Now: func() time.Time { return now }, HTTP: &http.Client{Transport: roundTripper(func(*http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			w.WriteHeader(status)
			_, _ = w.Write(body)
			return w
		})}}
		m := smart.ClientMetadata{RedirectURIs: []string{"https://app.example/cb"}, AuthMethod: smart.AuthBasic}
		r, err := c.Register(t.Context(), smart.Configuration{RegistrationEndpoint: "https://ehr.example/r"}, m, secret.New(canary))
		if err != nil {
			got := fault.From(err)
			if got.Code == "internal" || got.Advice == "" {
				t.Errorf("%+v", got)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %v", err, got, got.Unwrap()), canary) {
				t.Errorf("the secret shows: %+v", got)
			}
			return
		}
		if (status != 200 && status != 201) || r.ClientID == "" || strings.ContainsAny(r.ClientID+r.Secret.Reveal(), "\r\n\x00") || r.Type != smart.ConfidentialSymmetric || r.Secret.IsEmpty() ||
			(len(r.RedirectURIs) > 0 && !slices.Contains(r.RedirectURIs, "https://app.example/cb")) || (!r.SecretExpiresAt.IsZero() && !r.SecretExpiresAt.After(now)) || strings.HasPrefix(r.ManagementURL, "http:") {
			t.Errorf("status %d accepted: %+v", status, r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}
