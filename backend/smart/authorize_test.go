package smart_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/secret"
	"chartkey/backend/smart"

	"golang.org/x/oauth2"
)

// The vector of RFC 7636 appendix B.
func TestPKCEVector(t *testing.T) {
	if got := oauth2.S256ChallengeFromVerifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Error(got)
	}
}

func TestAuthorizationRequest(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &smart.Client{Now: func() time.Time { return now }}
	cfg := smart.Configuration{FHIRBaseURL: "https://EHR.example/fhir/", AuthorizationEndpoint: "https://ehr.example/authorize?tenant=a+b", TokenEndpoint: "https://ehr.example/token"}
	a, err := c.Authorization(cfg, smart.AuthorizationParams{
		ClientID: "my-app", RedirectURI: "http://localhost:18341/callback", Scopes: scopes(t, "openid launch patient/Patient.rs"), Launch: "a+b c&d",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a.URL, "https://ehr.example/authorize?tenant=a+b&") || strings.Contains(a.URL[len(cfg.AuthorizationEndpoint):], "+") {
		t.Error(a.URL)
	}
	u, _ := url.Parse(a.URL)
	q := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "my-app", "redirect_uri": "http://localhost:18341/callback", "scope": "openid launch patient/Patient.rs",
		"state": a.State, "nonce": a.Nonce, "aud": "https://EHR.example/fhir/", "launch": "a+b c&d", "code_challenge_method": "S256",
	} {
		if len(q[name]) != 1 || q.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, q[name], want)
		}
	}
	if b, err := base64.RawURLEncoding.DecodeString(q.Get("code_challenge")); err != nil || len(b) != sha256.Size {
		t.Errorf("challenge %q", q.Get("code_challenge"))
	}
	if b, err := base64.RawURLEncoding.DecodeString(a.State); err != nil || len(b) != 32 {
		t.Errorf("state %q is not 256 bits", a.State)
	}
	if !a.ExpiresAt.Equal(now.Add(10*time.Minute)) || a.Nonce == a.State {
		t.Errorf("%+v", a)
	}

	standalone, err := c.Authorization(cfg, smart.AuthorizationParams{ClientID: "my-app", RedirectURI: "x", Scopes: scopes(t, "launch/patient"), Aud: "https://ehr.example/other"})
	if err != nil {
		t.Fatal(err)
	}
	u, _ = url.Parse(standalone.URL)
	if q := u.Query(); q.Has("launch") || q.Has("nonce") || q.Get("aud") != "https://ehr.example/other" || standalone.State == a.State || q.Get("code_challenge") == "" {
		t.Errorf("%v", q)
	}
}

func TestAuthorizationRefusesWhatCannotWork(t *testing.T) {
	good := smart.AuthorizationParams{ClientID: "a", RedirectURI: "b", Scopes: scopes(t, "openid")}
	for code, change := range map[string]func(*smart.Configuration, *smart.AuthorizationParams){
		"client-id-missing":    func(_ *smart.Configuration, p *smart.AuthorizationParams) { p.ClientID = "" },
		"redirect-uri-missing": func(_ *smart.Configuration, p *smart.AuthorizationParams) { p.RedirectURI = "" },
		"scopes-missing":       func(_ *smart.Configuration, p *smart.AuthorizationParams) { p.Scopes = nil },
		"discovery-endpoint-insecure": func(c *smart.Configuration, _ *smart.AuthorizationParams) {
			c.AuthorizationEndpoint = "http://ehr.example/a"
		},
	} {
		cfg, p := smart.Configuration{AuthorizationEndpoint: "https://ehr.example/a"}, good
		change(&cfg, &p)
		if _, err := (&smart.Client{}).Authorization(cfg, p); fault.Code(err) != code {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// The verifier is what the token endpoint gets; it must be what was challenged,
// and must show nowhere else.
func TestTheVerifierIsSentOnceAndNeverPrinted(t *testing.T) {
	e, c := newEHR(t), &smart.Client{}
	e.token = says(200, `{"access_token":"t","token_type":"Bearer","scope":"launch/patient","patient":"1"}`)
	a := begin(t, c, e.cfg(), "launch/patient")
	if _, err := c.Exchange(context.Background(), e.cfg(), public, a, secret.New("code")); err != nil {
		t.Fatal(err)
	}
	verifier := e.seen()[0].form.Get("code_verifier")
	u, _ := url.Parse(a.URL)
	sum := sha256.Sum256([]byte(verifier))
	if len(verifier) < 43 || base64.RawURLEncoding.EncodeToString(sum[:]) != u.Query().Get("code_challenge") {
		t.Errorf("verifier %q does not match the challenge", verifier)
	}
	type pending struct{ a smart.Authorization }
	b, _ := json.Marshal(a)
	if out := fmt.Sprintf("%v %+v %#v %s %+v %#v", a, a, a, b, pending{a}, &pending{a}); strings.Contains(out, verifier) {
		t.Error("the verifier shows")
	}
}

func TestCheckCallback(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := now
	c := &smart.Client{Now: func() time.Time { return clock }}
	cfg := smart.Configuration{FHIRBaseURL: "https://ehr.example/fhir", Issuer: "https://ehr.example/oauth2", AuthorizationEndpoint: "https://ehr.example/a", TokenEndpoint: "https://ehr.example/t"}
	promises := cfg
	promises.AuthorizationResponseIssParameterSupported = true
	noIssuer := cfg
	noIssuer.Issuer = ""
	moved := cfg
	moved.TokenEndpoint = "https://evil.example/t"
	begun := begin(t, c, cfg, "openid")

	for _, c2 := range []struct {
		name, query, want string
		cfg               smart.Configuration
		after             time.Duration
	}{
		{"good", "code=abc&state=STATE", "", cfg, 0},
		{"good to the last second", "code=abc&state=STATE", "", cfg, 10*time.Minute - time.Second},
		{"unknown members are ignored", "code=abc&state=STATE&session_state=x&x=1&x=2", "", cfg, 0},
		{"iss unadvertised and equal", "code=abc&state=STATE&iss=https%3A%2F%2Fehr.example%2Foauth2", "", cfg, 0},
		{"iss promised and equal", "code=abc&state=STATE&iss=https%3A%2F%2Fehr.example%2Foauth2", "", promises, 0},
		{"iss unadvertised and other", "code=abc&state=STATE&iss=https%3A%2F%2Fevil.example", "callback-issuer-mismatch", cfg, 0},
		{"iss with a slash more", "code=abc&state=STATE&iss=https%3A%2F%2Fehr.example%2Foauth2%2F", "callback-issuer-mismatch", cfg, 0},
		{"iss promised and missing", "code=abc&state=STATE", "callback-issuer-missing", promises, 0},
		{"another server's configuration", "code=abc&state=STATE", "server-changed", moved, 0},
		{"no state", "code=abc", "callback-state-missing", cfg, 0},
		{"no state on an error", "error=access_denied", "callback-state-missing", cfg, 0},
		{"other state", "code=abc&state=STATEx", "callback-state-mismatch", cfg, 0},
		{"too late", "code=abc&state=STATE", "sign-in-expired", cfg, 10 * time.Minute},
		{"code twice", "code=abc&code=abc&state=STATE", "callback-repeated", cfg, 0},
		{"state twice", "code=abc&state=STATE&state=x", "callback-repeated", cfg, 0},
		{"iss twice", "code=abc&state=STATE&iss=a&iss=b", "callback-repeated", cfg, 0},
		{"no code", "state=STATE", "callback-code-missing", cfg, 0},
		{"code of control characters", "code=a%00b&state=STATE", "callback-code-invalid", cfg, 0},
		{"endless code", "code=" + strings.Repeat("x", 20000) + "&state=STATE", "callback-code-invalid", cfg, 0},
		{"denied", "error=access_denied&state=STATE", "denied", cfg, 0},
		{"an error wins over a code", "error=access_denied&code=abc&state=STATE", "denied", cfg, 0},
		{"an error of another server", "error=access_denied&state=STATE&iss=https%3A%2F%2Fevil.example", "callback-issuer-mismatch", cfg, 0},
		{"invalid_request", "error=invalid_request&state=STATE", "authorization-request-refused", cfg, 0},
		{"unauthorized_client", "error=unauthorized_client&state=STATE", "client-not-allowed", cfg, 0},
		{"unsupported_response_type", "error=unsupported_response_type&state=STATE", "response-type-unsupported", cfg, 0},
		{"invalid_scope", "error=invalid_scope&state=STATE", "scope-refused", cfg, 0},
		{"server_error", "error=server_error&state=STATE", "server-error", cfg, 0},
		{"temporarily_unavailable", "error=temporarily_unavailable&state=STATE", "server-unavailable", cfg, 0},
		{"login_required", "error=login_required&state=STATE", "sign-in-needed", cfg, 0},
		{"own error", "error=epic_says_no&state=STATE", "authorization-refused", cfg, 0},
	} {
		t.Run(c2.name, func(t *testing.T) {
			clock = now.Add(c2.after)
			q, err := url.ParseQuery(strings.ReplaceAll(c2.query, "STATE", begun.State))
			if err != nil {
				t.Fatal(err)
			}
			code, err := c.CheckCallback(c2.cfg, begun, q)
			if fault.Code(err) != c2.want || (err == nil) != (code.Reveal() == "abc") {
				t.Errorf("code %q, fault %q (%v), want %q", code.Reveal(), fault.Code(err), err, c2.want)
			}
			if f := fault.From(err); f != nil && (f.Advice == "" || f.Retryable != (c2.want == "server-error" || c2.want == "server-unavailable" || c2.want == "sign-in-needed" || c2.want == "server-changed")) {
				t.Errorf("%+v", f)
			}
		})
	}

	clock = now
	unnamed := begin(t, c, noIssuer, "openid")
	own, err := url.Parse(noIssuer.TokenEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	for iss, code := range map[string]string{own.Scheme + "://" + own.Host + "/issuer": "", "https://anything.example": "callback-issuer-mismatch", "%zz": "callback-issuer-mismatch"} {
		if _, err := c.CheckCallback(noIssuer, unnamed, url.Values{"code": {"abc"}, "state": {unnamed.State}, "iss": {iss}}); fault.Code(err) != code {
			t.Errorf("where the server names no issuer, %q gives %v", iss, err)
		}
	}
	if _, err := c.CheckCallback(noIssuer, smart.Authorization{ExpiresAt: now.Add(time.Hour)}, url.Values{"code": {"abc"}, "state": {""}}); err == nil {
		t.Error("an empty state matched an empty authorization")
	}
}

func TestTheServersWordsAreMadeFitToShow(t *testing.T) {
	c := &smart.Client{}
	cfg := smart.Configuration{AuthorizationEndpoint: "https://ehr.example/a"}
	a := begin(t, c, cfg, "launch/patient")
	_, err := c.CheckCallback(cfg, a, url.Values{"state": {a.State}, "error": {"access_denied"}, "code": {"c0de-canary"},
		"error_description": {"no\r\n\x1b[31m\u202eway c0de-canary " + a.State + strings.Repeat("y", 1000)}})
	if err == nil {
		t.Fatal("no error")
	}
	got := err.Error()
	if !strings.HasPrefix(got, "The sign-in was declined. It says: no [31mway ‹secret› ‹secret›yyy") || len([]rune(got)) > 360 || strings.Contains(got, "canary") || strings.Contains(got, a.State) {
		t.Errorf("%q", got)
	}
}

func FuzzCallback(f *testing.F) {
	for _, s := range []string{
		"code=abc&state=STATE", "error=access_denied&error_description=x%0d%0ay&state=STATE", "state=STATE&state=STATE&code=a", "code=CANARY&error=CANARY&error_description=CANARY&state=STATE",
		"code=CANARY&iss=https://CANARY.example&state=STATE", "code=a&iss=https://ehr.example&state=STATE", "code=%00&state=STATE", "state=%", "error=x&error_description=CANA%E2%80%8BRY&state=STATE&code=CANARY",
	} {
		f.Add(s)
	}
	const canary = "canary-5c1e9b"
	f.Fuzz(func(t *testing.T, raw string) {
		c := &smart.Client{}
		cfg := smart.Configuration{Issuer: "https://ehr.example", AuthorizationEndpoint: "https://ehr.example/a"}
		a := begin(t, c, cfg, "launch/patient")
		q, err := url.ParseQuery(strings.NewReplacer("STATE", a.State, "CANARY", canary).Replace(raw))
		if err != nil {
			return
		}
		code, err := c.CheckCallback(cfg, a, q)
		if err == nil {
			if q.Get("state") != a.State || code.Reveal() != q.Get("code") || code.IsEmpty() || q.Get("error") != "" || len(q["state"]) != 1 {
				t.Errorf("accepted: %v", q)
			}
			return
		}
		got := fault.From(err)
		if got.Code == "internal" || got.Advice == "" || !code.IsEmpty() {
			t.Errorf("%+v", got)
		}
		if q.Get("code") == canary && strings.Contains(got.Message, canary) {
			t.Errorf("the code shows: %s", got.Message)
		}
		if len([]rune(got.Message)) > 600 || strings.ContainsAny(got.Message, "\r\n\x00\x1b") {
			t.Errorf("%q", got.Message)
		}
	})
}
