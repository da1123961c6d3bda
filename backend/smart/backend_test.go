package smart_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
)

func TestBackendServices(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	s.knows(t, "chartkey-backend", rsaKey(t), ecKey(t))
	for _, key := range []smart.ClientKey{rsaKey(t), ecKey(t)} {
		auth := asymmetric("chartkey-backend", key)
		ids := map[string]bool{}
		for range 2 {
			s.wire.take()
			got, err := s.client.ClientCredentials(t.Context(), s.cfg, auth, scopes(t, "system/Patient.rs system/Observation.rs"))
			if err != nil {
				t.Fatal(err, s.verdict())
			}
			if got.AccessToken.IsEmpty() || !got.RefreshToken.IsEmpty() || !got.IDToken.IsEmpty() || got.TokenType != "Bearer" || got.ExpiresAt.Sub(got.ReceivedAt) != 5*time.Minute ||
				got.Scopes.String() != "system/Patient.rs system/Observation.rs" || got.AuthMethod != smart.AuthPrivateKeyJWT || len(got.Warnings) != 0 {
				t.Errorf("%+v", got)
			}
			form := s.wire.take()[0].form
			if len(form) != 4 || form.Get("grant_type") != "client_credentials" || form.Get("scope") != "system/Patient.rs system/Observation.rs" {
				t.Errorf("%v", form)
			}
			_, claims := readAssertion(t, form.Get("client_assertion"), key)
			if id := claims["jti"].(string); ids[id] {
				t.Error("the assertion was used before")
			} else {
				ids[id] = true
			}
			resp := reads(t, s.FHIRBaseURL()+"/Patient/amara-nwosu", got.AccessToken.Reveal())
			if resp != http.StatusOK {
				t.Errorf("the token reads nothing: %d", resp)
			}
		}
	}
	// Of what is asked for beyond the registration, the server grants its part.
	got, err := s.client.ClientCredentials(t.Context(), s.cfg, asymmetric("chartkey-backend", ecKey(t)), scopes(t, "system/*.cruds"))
	if err != nil || got.Scopes.String() != "system/*.rs" || !got.ScopesTold {
		t.Errorf("%+v %v", got, err)
	}
}

func reads(t testing.TB, address, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestMistakesOfBackendServices(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	key := ecKey(t)
	s.knows(t, "chartkey-backend", key)
	s.knows(t, "chartkey-asymmetric", key)
	service := asymmetric("chartkey-backend", key)
	for name, c := range map[string]struct {
		auth         smart.ClientAuth
		scopes, code string
		names        string // in message or advice
		sent         int
	}{
		"a public client":    {smart.ClientAuth{Type: smart.Public, ClientID: "chartkey-demo"}, "system/*.rs", "backend-client-type", "key", 0},
		"a secret":           {smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "chartkey-confidential"}, "system/*.rs", "backend-client-type", "key", 0},
		"no key":             {smart.ClientAuth{Type: smart.ConfidentialAsymmetric, ClientID: "chartkey-backend"}, "system/*.rs", "client-key-missing", "key", 0},
		"no scopes":          {service, "", "scopes-missing", "system/", 0},
		"a user's scope":     {service, "system/Patient.rs user/Patient.rs", "backend-scope", "user/Patient.rs", 0},
		"a patient's scope":  {service, "patient/*.rs", "backend-scope", "patient/*.rs", 0},
		"a launch":           {service, "system/*.rs launch/patient", "backend-scope", "launch/patient", 0},
		"openid":             {service, "system/*.rs openid", "backend-scope", "openid", 0},
		"offline_access":     {service, "system/*.rs offline_access", "backend-scope", "offline_access", 0},
		"nothing on offer":   {service, "system/Coverage.rs", "scope-refused", "system/ scopes that the app is registered for", 1},
		"not a service":      {asymmetric("chartkey-asymmetric", key), "system/*.rs", "client-not-allowed", "Backend Systems", 1},
		"another key":        {asymmetric("chartkey-backend", rsaKey(t)), "system/*.rs", "client-refused", "mapped it to a user", 1},
		"a client not known": {asymmetric("nobody", key), "system/*.rs", "client-refused", "client ID", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s.wire.take()
			got, err := s.client.ClientCredentials(t.Context(), s.cfg, c.auth, scopes(t, c.scopes))
			f := fault.From(err)
			if err == nil || f.Code != c.code || !strings.Contains(f.Message+f.Advice, c.names) || !got.AccessToken.IsEmpty() {
				t.Errorf("%+v, %s", f, s.verdict())
			}
			if n := len(s.wire.take()); n != c.sent {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestBackendAnswersOfTheField(t *testing.T) {
	for body, c := range map[string]struct {
		code     string
		warnings int
		check    func(smart.TokenResponse) bool
	}{
		`{"access_token":"at","token_type":"bearer","expires_in":3600,"scope":"Patient.read Patient.search"}`: {"", 0, func(r smart.TokenResponse) bool { // Epic's own example
			return r.TokenType == "Bearer" && r.ExpiresAt.Sub(r.ReceivedAt) == time.Hour && r.ScopesTold
		}},
		`{"access_token":"at","token_type":"bearer","expires_in":300,"scope":"system/*.rs","refresh_token":"rt","id_token":"x.y.z"}`: {"", 1, func(r smart.TokenResponse) bool {
			return r.RefreshToken.IsEmpty() && r.IDToken.IsEmpty()
		}},
		`{"access_token":"at","token_type":"bearer","scope":"system/*.rs"}`: {"", 1, func(r smart.TokenResponse) bool { return r.ExpiresAt.IsZero() }},
		`{"access_token":"at","token_type":"bearer","expires_in":300}`:      {"", 1, func(r smart.TokenResponse) bool { return r.Scopes.String() == "system/*.rs" && !r.ScopesTold }},
		`{"access_token":"at","token_type":"mac","expires_in":300}`:         {"token-type-unsupported", 0, nil},
		`{"token_type":"bearer","expires_in":300}`:                          {"token-missing", 0, nil},
		`{"error":"unsupported_grant_type"}`:                                {"grant-type-unsupported", 0, nil},
		`{"error":"unauthorized_client","error_description":null}`:          {"client-not-allowed", 0, nil},
		`{"error":"invalid_client","error_description":null}`:               {"client-refused", 0, nil},
	} {
		e := newEHR(t)
		e.token = says(200, body)
		r, err := (&smart.Client{}).ClientCredentials(t.Context(), e.cfg(), asymmetric("my-app", ecKey(t)), scopes(t, "system/*.rs"))
		if fault.Code(err) != c.code || len(r.Warnings) != c.warnings || (c.check != nil && !c.check(r)) {
			t.Errorf("%s: %+v %v", body, r, err)
		}
	}
}
