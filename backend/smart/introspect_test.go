package smart_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/simulator"
	"chartkey/backend/smart"
)

// TestIntrospection asks the simulator about tokens of each type of client, while they live and afterwards.
func TestIntrospection(t *testing.T) {
	s := newSandbox(t, simulator.Options{})
	key := ecKey(t)
	s.knows(t, "chartkey-asymmetric", key)
	for _, auth := range []smart.ClientAuth{
		{Type: smart.Public, ClientID: "chartkey-demo"},
		{Type: smart.ConfidentialSymmetric, ClientID: "chartkey-confidential", Secret: secret.New(simulator.SandboxSecret)},
		asymmetric("chartkey-asymmetric", key),
	} {
		t.Run(string(auth.Type), func(t *testing.T) {
			a, code := s.authorize(t, auth.ClientID, everyScope)
			tokens, err := s.client.Exchange(t.Context(), s.cfg, auth, a, code)
			if err != nil {
				t.Fatal(err)
			}
			s.wire.take()
			got, err := s.client.Introspect(t.Context(), s.cfg, auth, tokens.AccessToken)
			if err != nil {
				t.Fatal(err, s.verdict())
			}
			if !got.Active || got.ClientID != auth.ClientID || got.Scopes.String() != everyScope || got.Context.Patient != "amara-nwosu" || got.Subject != tokens.Context.Subject || got.Subject == "" ||
				got.FHIRUser != tokens.Context.FHIRUser || got.FHIRUser == "" || got.Issuer != s.cfg.Issuer || got.Username != "amara" || got.ExpiresAt.Sub(tokens.ExpiresAt).Abs() > 2*time.Second || len(got.Warnings) != 0 {
				t.Errorf("%+v", got)
			}
			sent := s.wire.take()[0]
			switch auth.Type {
			case smart.Public:
				if sent.header.Get("Authorization") != "Bearer "+tokens.AccessToken.Reveal() || sent.form.Has("client_id") {
					t.Errorf("%+v", sent)
				}
			case smart.ConfidentialAsymmetric:
				if _, claims := readAssertion(t, sent.form.Get("client_assertion"), key); claims["aud"] != s.cfg.TokenEndpoint {
					t.Errorf("%v", claims)
				}
				fallthrough
			default:
				refresh, err := s.client.Introspect(t.Context(), s.cfg, auth, tokens.RefreshToken)
				if err != nil || !refresh.Active || refresh.TokenType != "refresh_token" {
					t.Errorf("%+v %v", refresh, err)
				}
			}
			if err := s.client.Revoke(t.Context(), s.cfg, auth, tokens.RefreshToken, tokens.AccessToken); err != nil {
				t.Fatal(err)
			}
			after, err := s.client.Introspect(t.Context(), s.cfg, auth, tokens.AccessToken)
			if b, _ := json.Marshal(after); err != nil || after.Active || string(b) != inactive(t) {
				t.Errorf("after the revocation: %s %v", b, err)
			}
		})
	}
	if _, err := s.client.Introspect(t.Context(), s.cfg, asymmetric("chartkey-asymmetric", rsaKey(t)), secret.New("at-canary")); fault.Code(err) != "client-refused" {
		t.Errorf("with another key: %v", err)
	}
	// A clock that is off is corrected here too.
	s.client.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if got, err := s.client.Introspect(t.Context(), s.cfg, asymmetric("chartkey-asymmetric", key), secret.New("unknown")); err != nil || got.Active {
		t.Errorf("%+v %v, %s", got, err, s.verdict())
	}
}

func inactive(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(smart.Introspection{})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestIntrospectionAnswers(t *testing.T) {
	const token = "at-canary-token"
	auth := smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "my-app", Secret: secret.New("client-s3cret")}
	for _, c := range []struct {
		name, body string
		code       string
		warnings   int
		check      func(smart.Introspection) bool
	}{
		{"SMART's example", `{"active":true,"client_id":"07a89bd2-52ce-4576-8b85-71698efa8328","scope":"patient/*.read openid fhirUser","sub":"c91dfe96-731d-4e66-b4f9-01f8f8a4b7b2","patient":"456","fhirUser":"https://ehr.example.org/fhir/Patient/123","exp":1597678964}`, "", 2, func(i smart.Introspection) bool {
			return i.Active && i.Scopes.String() == "patient/*.read openid fhirUser" && i.Context.Patient == "456" && i.FHIRUser == "https://ehr.example.org/fhir/Patient/123" && i.ExpiresAt.Unix() == 1597678964
		}},
		{"all there is", `{"active":true,"client_id":"my-app","scope":["launch","x"],"exp":"4000000000","iat":1600000000.7,"nbf":1600000001,"aud":["a","b"],"iss":"https://ehr.example","jti":"j","token_type":"Bearer","username":"jane","encounter":"e1","intent":"review","need_patient_banner":"false","fhirContext":[{"reference":"Task/1"}],"tenant":"t","vendor":{"a":1}}`, "", 0, func(i smart.Introspection) bool {
			return len(i.Scopes) == 2 && i.ExpiresAt.Unix() == 4000000000 && i.IssuedAt.Unix() == 1600000000 && i.NotBefore.Unix() == 1600000001 && len(i.Audience) == 2 && i.Issuer == "https://ehr.example" && i.TokenType == "Bearer" && i.Username == "jane" &&
				i.Context.Encounter == "e1" && i.Context.Intent == "review" && !*i.Context.NeedPatientBanner && len(i.Context.FHIRContext) == 1 && i.Context.Tenant == "t" && len(i.Context.Extra) == 1
		}},
		{"the token again", `{"active":true,"client_id":"my-app","scope":"x","exp":4000000000,"token":"at-canary-token","raw":{"t":["at-canary-token"]},"username":"at-canary-token","sub":"client-s3cret","patient":"at-canary-token","iss":"\u0061t-canary-token","fhirUser":"Patient/at-canary-token"}`, "", 0, func(i smart.Introspection) bool {
			b, _ := json.Marshal(i)
			return !strings.Contains(string(b), "canary") && !strings.Contains(string(b), "s3cret")
		}},
		{"only active", `{"active":true}`, "", 2, func(i smart.Introspection) bool { return i.Active && i.ExpiresAt.IsZero() && i.Scopes == nil }},
		{"times that are none", `{"active":true,"scope":"x","exp":1e300,"iat":-5,"nbf":"soon"}`, "", 1, func(i smart.Introspection) bool {
			return i.ExpiresAt.IsZero() && i.IssuedAt.IsZero() && i.NotBefore.IsZero()
		}},
		{"a patient that leads elsewhere", `{"active":true,"scope":"x","exp":4000000000,"patient":"../../x"}`, "", 1, func(i smart.Introspection) bool { return i.Context.Patient == "" }},
		{"another client's", `{"active":true,"scope":"x","exp":4000000000,"client_id":"other"}`, "", 1, nil},
		{"not active, and talkative", `{"active":false,"client_id":"my-app","exp":4000000000,"patient":"1"}`, "", 0, func(i smart.Introspection) bool { return !i.Active && i.ClientID == "" && i.Context.Patient == "" }},
		{"active as text", `{"active":"true","exp":4000000000}`, "introspection-invalid", 0, nil},
		{"active as a number", `{"active":1}`, "introspection-invalid", 0, nil},
		{"active null", `{"active":null}`, "introspection-invalid", 0, nil},
		{"nothing", `{}`, "introspection-invalid", 0, nil},
		{"a page", `<html>`, "introspection-invalid", 0, nil},
		{"a list", `[true]`, "introspection-invalid", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEHR(t)
			e.introspect = says(200, c.body)
			i, err := (&smart.Client{}).Introspect(t.Context(), e.cfg(), auth, secret.New(token))
			if fault.Code(err) != c.code || len(i.Warnings) != c.warnings || (c.check != nil && !c.check(i)) {
				t.Errorf("%+v %v", i, err)
			}
			if q := e.seen()[0]; q.form.Get("token") != token || len(q.form) != 1 || q.user != "my-app" || q.password != "client-s3cret" {
				t.Errorf("%+v", q)
			}
		})
	}
}

func TestIntrospectionFaults(t *testing.T) {
	const token = "at-canary-token"
	confidential := smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "my-app", Secret: secret.New("s")}
	for _, c := range []struct {
		name            string
		answer          http.HandlerFunc
		shown, withheld string // to a confidential client, to a public one
		retryable       bool
	}{
		{"invalid_client", says(401, `{"error":"invalid_client","error_description":"at-canary-token"}`), "client-refused", "", false},
		{"401", says(401, ``), "client-refused", "", false},
		{"403", says(403, ``), "introspection-refused", "introspection-refused", false},
		{"insufficient_scope", says(403, `{"error":"insufficient_scope","error_description":"at-canary-token"}`), "introspection-refused", "introspection-refused", false},
		{"own error", says(400, `{"error":"at-canary-token"}`), "introspection-refused", "introspection-refused", false},
		{"404", says(404, ``), "introspection-unsupported", "introspection-unsupported", false},
		{"503", says(503, ``), "server-unavailable", "server-unavailable", true},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, "introspection-refused", "introspection-refused", false},
		{"too large", says(200, `{"active":true,"x":"`+strings.Repeat("x", 1<<20)+`"}`), network.CodeTooLarge, network.CodeTooLarge, false},
	} {
		for auth, want := range map[*smart.ClientAuth]string{&confidential: c.shown, &public: c.withheld} {
			e := newEHR(t)
			e.introspect = c.answer
			i, err := (&smart.Client{}).Introspect(t.Context(), e.cfg(), *auth, secret.New(token))
			if fault.Code(err) != want || i.Active {
				t.Errorf("%s for %s: %+v %v", c.name, auth.Type, i, err)
			}
			if f := fault.From(err); err != nil && (f.Retryable != c.retryable || f.Advice == "" || strings.Contains(fmt.Sprintf("%+v %v", *f, f.Unwrap()), "canary")) {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
	if _, err := (&smart.Client{}).Introspect(t.Context(), smart.Configuration{}, public, secret.New(token)); fault.Code(err) != "introspection-unsupported" {
		t.Error(err)
	}
	if _, err := (&smart.Client{}).Introspect(t.Context(), smart.Configuration{IntrospectionEndpoint: "http://ehr.example/i"}, public, secret.New(token)); fault.Code(err) != "introspection-unsupported" {
		t.Error(err)
	}
	if _, err := (&smart.Client{}).Introspect(t.Context(), smart.Configuration{}, public, secret.Value{}); fault.Code(err) != "no-access-token" {
		t.Error(err)
	}
}

func FuzzIntrospectionAnswer(f *testing.F) {
	for _, s := range []string{
		`{"active":true,"client_id":"my-app","scope":"launch/patient","exp":4000000000,"patient":"1","sub":"CANARY","username":"CANARY","x":"CANARY"}`,
		`{"active":true,"patient":"CANARY","encounter":"CANARY","scope":"CANARY","tenant":"CANARY"}`, `{"active":false,"sub":"CANARY"}`, `{"active":"true"}`, `{"error":"CANARY","error_description":"CANARY"}`, `{"active":true,"aud":["CANARY",1],"fhirUser":"Patient/../CANARY","exp":"1e9","iat":-1,"fhirContext":{}}`,
		`null`, `[]`, `<html>CANARY`, ``, `{"active":true,"iss":"CANA\u200bRY"}`,
	} {
		f.Add([]byte(s), 200)
		f.Add([]byte(s), 401)
	}
	const canary = "canary-91be77"
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		if status < 200 || status > 599 {
			return
		}
		body = []byte(strings.ReplaceAll(string(body), "CANARY", canary))
		c := &smart.Client{HTTP: &http.Client{Transport: roundTripper(func(*http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			w.WriteHeader(status)
			_, _ = w.Write(body)
			return w
		})}}
		auth := smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "my-app", Secret: secret.New("s")}
		i, err := c.Introspect(t.Context(), smart.Configuration{IntrospectionEndpoint: "https://ehr.example/i"}, auth, secret.New(canary))
		if err != nil {
			got := fault.From(err)
			if got.Code == "internal" || got.Advice == "" || i.Active {
				t.Errorf("%+v", got)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %v", err, got, got.Unwrap()), canary) {
				t.Errorf("the token shows: %+v", got)
			}
			return
		}
		var raw map[string]json.RawMessage
		if status != 200 || json.Unmarshal([]byte(strings.TrimPrefix(string(body), "\ufeff")), &raw) != nil || i.Active != (string(raw["active"]) == "true") {
			t.Errorf("status %d: %s read as %+v", status, body, i)
		}
		if strings.ContainsAny(i.Context.Patient+i.Context.Encounter, "/?#%\\ ") || i.ExpiresAt.Year() > 9999 {
			t.Errorf("%+v", i)
		}
		if b, err := json.Marshal(i); err != nil || strings.Contains(string(b), canary) {
			t.Errorf("%s %v", b, err)
		}
	})
}
