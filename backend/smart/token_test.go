package smart_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartkey/backend/fault"
	"chartkey/backend/network"
	"chartkey/backend/secret"
	"chartkey/backend/smart"
)

func TestExchangeSendsWhatSMARTAsks(t *testing.T) {
	e, c := newEHR(t), &smart.Client{}
	e.token = says(200, `{"access_token":"at-1","token_type":"Bearer","expires_in":3600,"scope":"launch/patient patient/Patient.rs","patient":"p1","refresh_token":"rt-1"}`)
	a := begin(t, c, e.cfg(), "launch/patient patient/Patient.rs offline_access")
	got, err := c.Exchange(context.Background(), e.cfg(), public, a, secret.New("c0de"))
	if err != nil {
		t.Fatal(err)
	}
	r := e.seen()[0]
	if r.basic || len(r.form) != 5 || r.form.Get("grant_type") != "authorization_code" || r.form.Get("code") != "c0de" || r.form.Get("redirect_uri") != a.RedirectURI ||
		r.form.Get("client_id") != "my-app" || r.form.Get("code_verifier") == "" || r.header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.header.Get("Accept") != "application/json" {
		t.Errorf("%+v", r)
	}
	if got.AccessToken.Reveal() != "at-1" || got.RefreshToken.Reveal() != "rt-1" || got.TokenType != "Bearer" || got.ExpiresAt.Sub(got.ReceivedAt) != time.Hour ||
		!got.ScopesTold || got.Scopes.String() != "launch/patient patient/Patient.rs" || got.Context.Patient != "p1" || got.AuthMethod != smart.AuthNone || len(got.Warnings) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestTokenAnswersOfTheField(t *testing.T) {
	const rest = `"access_token":"at","token_type":"Bearer","expires_in":60,"scope":"launch/patient","patient":"1"`
	yes, no := true, false
	for _, c := range []struct {
		name, body string
		warnings   int
		check      func(smart.TokenResponse) bool
	}{
		{"expires_in as text", `{"access_token":"at","token_type":"bearer","expires_in":"3600","scope":"launch/patient","patient":"1"}`, 0, func(r smart.TokenResponse) bool {
			return r.ExpiresAt.Sub(r.ReceivedAt) == time.Hour && r.TokenType == "Bearer"
		}},
		{"expires_in with a fraction", `{"access_token":"at","token_type":"BEARER","expires_in":3599.5,"scope":"launch/patient","patient":"1"}`, 0, func(r smart.TokenResponse) bool {
			return r.ExpiresAt.Sub(r.ReceivedAt) == 3599500*time.Millisecond
		}},
		{"expires_in missing", `{"access_token":"at","token_type":"Bearer","scope":"launch/patient","patient":"1"}`, 0, func(r smart.TokenResponse) bool { return r.ExpiresAt.IsZero() }},
		{"expires_in null", `{"access_token":"at","token_type":"Bearer","expires_in":null,"scope":"launch/patient","patient":"1"}`, 0, func(r smart.TokenResponse) bool { return r.ExpiresAt.IsZero() }},
		{"expires_in empty", `{"access_token":"at","token_type":"Bearer","expires_in":"","scope":"launch/patient","patient":"1"}`, 1, func(r smart.TokenResponse) bool { return r.ExpiresAt.IsZero() }},
		{"expires_in zero", `{"access_token":"at","token_type":"Bearer","expires_in":0,"scope":"launch/patient","patient":"1"}`, 1, func(r smart.TokenResponse) bool { return r.ExpiresAt.IsZero() }},
		{"expires_in endless", `{"access_token":"at","token_type":"Bearer","expires_in":1e300,"scope":"launch/patient","patient":"1"}`, 0, func(r smart.TokenResponse) bool {
			return r.ExpiresAt.Sub(r.ReceivedAt) == 3650*24*time.Hour
		}},
		{"no scope", `{"access_token":"at","token_type":"Bearer","expires_in":60,"patient":"1"}`, 1, func(r smart.TokenResponse) bool { return !r.ScopesTold && r.Scopes.String() == "launch/patient" }},
		{"scope as a list", `{"access_token":"at","token_type":"Bearer","expires_in":60,"patient":"1","scope":["launch/patient","x"]}`, 0, func(r smart.TokenResponse) bool { return r.ScopesTold && r.Scopes.String() == "launch/patient x" }},
		{"no token type", `{"access_token":"at","expires_in":60,"scope":"launch/patient","patient":"1"}`, 1, func(r smart.TokenResponse) bool { return r.TokenType == "Bearer" }},
		{"empty refresh token", `{` + rest + `,"refresh_token":""}`, 0, func(r smart.TokenResponse) bool { return r.RefreshToken.IsEmpty() }},
		{"banner as text", `{` + rest + `,"need_patient_banner":"true"}`, 0, func(r smart.TokenResponse) bool { return *r.Context.NeedPatientBanner == yes }},
		{"banner", `{` + rest + `,"need_patient_banner":false}`, 0, func(r smart.TokenResponse) bool { return *r.Context.NeedPatientBanner == no }},
		{"no banner", `{` + rest + `}`, 0, func(r smart.TokenResponse) bool { return r.Context.NeedPatientBanner == nil }},
		{"no patient though granted", `{"access_token":"at","token_type":"Bearer","scope":"launch/patient"}`, 1, func(r smart.TokenResponse) bool { return r.Context.Patient == "" }},
		{"no patient and not granted", `{"access_token":"at","token_type":"Bearer","scope":"user/Patient.rs"}`, 0, func(r smart.TokenResponse) bool { return r.Context.Patient == "" }},
		{"patient as a reference", `{"access_token":"at","token_type":"Bearer","scope":"launch/patient","patient":"Patient/e.3-x"}`, 0, func(r smart.TokenResponse) bool { return r.Context.Patient == "e.3-x" }},
		{"patient as a number", `{"access_token":"at","token_type":"Bearer","scope":"launch/patient","patient":12345678901234567890}`, 0, func(r smart.TokenResponse) bool { return r.Context.Patient == "12345678901234567890" }},
		{"patient that leads elsewhere", `{"access_token":"at","token_type":"Bearer","scope":"launch/patient","patient":"../../admin?"}`, 2, func(r smart.TokenResponse) bool { return r.Context.Patient == "" }},
		{"unknown members", `{` + rest + `,"__epic.dstu2.patient":"T81","loginDepartment":{"id":7},"nothing":null,"registration_access_token":"hide-me"}`, 0, func(r smart.TokenResponse) bool {
			return len(r.Context.Extra) == 2 && string(r.Context.Extra["__epic.dstu2.patient"]) == `"T81"` && string(r.Context.Extra["loginDepartment"]) == `{"id":7}`
		}},
		{"everything in context", `{` + rest + `,"encounter":"e1","intent":"summary","smart_style_url":"https://ehr.example/s","tenant":"t","fhirContext":[{"reference":"ImagingStudy/1"},{"canonical":"http://x|1","role":"r","type":"Q"},"Task/2",7]}`, 0, func(r smart.TokenResponse) bool {
			x := r.Context
			return x.Encounter == "e1" && x.Intent == "summary" && x.SmartStyleURL == "https://ehr.example/s" && x.Tenant == "t" && len(x.FHIRContext) == 3 &&
				x.FHIRContext[0].Role == "launch" && x.FHIRContext[1].Role == "r" && x.FHIRContext[1].Type == "Q" && x.FHIRContext[2].Reference == "Task/2"
		}},
		{"token of 64 KB", `{"access_token":"` + strings.Repeat("x", 64<<10) + `","token_type":"Bearer","scope":"launch/patient","patient":"1"}`, 0, func(r smart.TokenResponse) bool { return len(r.AccessToken.Reveal()) == 64<<10 }},
		{"a byte order mark", "\ufeff{" + rest + "}", 0, func(r smart.TokenResponse) bool { return r.AccessToken.Reveal() == "at" }},
		{"a token under another name", `{` + rest + `,"refresh_token":"rt-12345678","vendor":{"again":["rt-12345678"]},"plain":1}`, 0, func(r smart.TokenResponse) bool {
			return r.RefreshToken.Reveal() == "rt-12345678" && len(r.Context.Extra) == 1 && string(r.Context.Extra["plain"]) == "1"
		}},
		{"members of odd types", `{` + rest + `,"refresh_token":7,"id_token":[],"error":null,"fhirContext":{}}`, 1, func(r smart.TokenResponse) bool { return r.RefreshToken.IsEmpty() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := exchange(t, c.body, "launch/patient")
			if err != nil {
				t.Fatal(err)
			}
			if !c.check(r) || len(r.Warnings) != c.warnings {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestJSONSentAsTextIsRead(t *testing.T) {
	e, c := newEHR(t), &smart.Client{}
	e.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(`{"access_token":"at","token_type":"Bearer","scope":"openid"}`))
	}
	if r, err := c.Exchange(context.Background(), e.cfg(), public, begin(t, c, e.cfg(), "openid"), secret.New("x")); err != nil || r.AccessToken.Reveal() != "at" {
		t.Error(err)
	}
}

func TestTokenFaults(t *testing.T) {
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>Welcome to the guest network</html>"))
		}
	}
	const echo = `,"error_description":"bad c0de-canary and rt-canary"}`
	redirected := atomic.Int32{}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { redirected.Add(1) }))
	defer elsewhere.Close()
	for _, c := range []struct {
		name              string
		answer            http.HandlerFunc
		exchange, refresh string
		retryable         bool
	}{
		{"invalid_grant", says(400, `{"error":"invalid_grant"`+echo), "code-refused", smart.CodeGrantEnded, false},
		{"invalid_grant with status 200", says(200, `{"error":"invalid_grant"`+echo), "code-refused", smart.CodeGrantEnded, false},
		{"invalid_client", says(401, `{"error":"invalid_client"`+echo), "client-refused", "client-refused", false},
		{"401 without words", page(401), "client-refused", "client-refused", false},
		{"unauthorized_client", says(400, `{"error":"unauthorized_client"`+echo), "client-not-allowed", "client-not-allowed", false},
		{"unsupported_grant_type", says(400, `{"error":"unsupported_grant_type"`+echo), "grant-type-unsupported", "grant-type-unsupported", false},
		{"invalid_scope", says(400, `{"error":"invalid_scope"`+echo), "scope-refused", "scope-refused", false},
		{"invalid_request", says(400, `{"error":"invalid_request"`+echo), "token-request-refused", "token-request-refused", false},
		{"own error", says(400, `{"error":"c0de-canary rt-canary"`+echo), "token-refused", "token-refused", false},
		{"own error with status 500", says(500, `{"error":"oops"}`), "token-refused", "token-refused", true},
		{"server_error", says(500, `{"error":"server_error"`+echo), "server-error", "server-error", true},
		{"temporarily_unavailable", says(503, `{"error":"temporarily_unavailable"`+echo), "server-unavailable", "server-unavailable", true},
		{"500", page(500), "server-error", "server-error", true},
		{"503", page(503), "server-error", "server-error", true},
		{"429", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "17"); w.WriteHeader(429) }, "rate-limited", "rate-limited", true},
		{"captive portal", page(200), "token-not-json", "token-not-json", true},
		{"404", page(404), "token-not-json", "token-not-json", true},
		{"400 without an error", says(400, `{}`), "token-refused", "token-refused", false},
		{"empty answer", says(200, ``), "token-not-json", "token-not-json", true},
		{"a form instead of JSON", says(200, `access_token=at&token_type=bearer`), "token-not-json", "token-not-json", true},
		{"no access token", says(200, `{"token_type":"Bearer"}`), "token-missing", "token-missing", false},
		{"access token of a wrong type", says(200, `{"access_token":{"a":1},"token_type":"Bearer"}`), "token-missing", "token-missing", false},
		{"access token with a line break", says(200, `{"access_token":"a\r\nX: y","token_type":"Bearer"}`), "token-invalid", "token-invalid", false},
		{"other token type", says(200, `{"access_token":"at","token_type":"DPoP"}`), "token-type-unsupported", "token-type-unsupported", false},
		{"too large", says(200, `{"access_token":"`+strings.Repeat("x", 1<<20)+`"}`), network.CodeTooLarge, network.CodeTooLarge, false},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "token-redirect", "token-redirect", true},
		{"connection cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, network.CodeConnectionFailed, network.CodeConnectionFailed, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, client := newEHR(t), &smart.Client{}
			e.token = c.answer
			a := begin(t, client, e.cfg(), "launch/patient")
			_, exchanged := client.Exchange(context.Background(), e.cfg(), public, a, secret.New("c0de-canary"))
			_, refreshed := client.Refresh(context.Background(), e.cfg(), public, secret.New("rt-canary"), a.Scopes)
			for i, err := range []error{exchanged, refreshed} {
				f := fault.From(err)
				want, canary := c.exchange, "c0de-canary"
				if i == 1 {
					want, canary = c.refresh, "rt-canary"
				}
				if err == nil || f.Code != want || f.Retryable != c.retryable || f.Advice == "" {
					t.Errorf("%+v (%v), want %s", f, f.Unwrap(), want)
				}
				if out := fmt.Sprintf("%v %+v %#v %v", err, f, *f, f.Unwrap()); strings.Contains(out, canary) {
					t.Errorf("the secret shows: %s", out)
				}
				if c.name == "429" && !strings.Contains(f.Message, "17s") {
					t.Error(f.Message)
				}
			}
			if len(e.seen()) != 2 && c.name != "connection cut" {
				t.Errorf("%d requests", len(e.seen()))
			}
		})
	}
	if redirected.Load() != 0 {
		t.Error("a token request followed a redirect")
	}
	t.Run("plain http elsewhere", func(t *testing.T) {
		cfg := smart.Configuration{AuthorizationEndpoint: "https://ehr.example/a", TokenEndpoint: "http://ehr.example/t"}
		client := &smart.Client{}
		if _, err := client.Refresh(context.Background(), cfg, public, secret.New("x"), nil); fault.Code(err) != "discovery-endpoint-insecure" {
			t.Error(err)
		}
		if _, err := client.Exchange(context.Background(), cfg, public, begin(t, client, cfg, "openid"), secret.New("x")); fault.Code(err) != "discovery-endpoint-insecure" {
			t.Error(err)
		}
	})
	t.Run("another server than at the beginning", func(t *testing.T) {
		e, client := newEHR(t), &smart.Client{}
		a := begin(t, client, e.cfg(), "openid")
		other := e.cfg()
		other.TokenEndpoint = e.URL + "/other"
		if _, err := client.Exchange(context.Background(), other, public, a, secret.New("x")); fault.Code(err) != "server-changed" || len(e.seen()) != 0 {
			t.Error(err)
		}
	})
	t.Run("no refresh token", func(t *testing.T) {
		if _, err := (&smart.Client{}).Refresh(context.Background(), smart.Configuration{}, public, secret.Value{}, nil); fault.Code(err) != "no-refresh-token" {
			t.Error(err)
		}
	})
}

func TestATokenEndpointBehindAnUntrustedCertificateGetsNothing(t *testing.T) {
	asked := atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	c := &smart.Client{}
	cfg := smart.Configuration{AuthorizationEndpoint: server.URL + "/a", TokenEndpoint: server.URL + "/t"}
	if _, err := c.Refresh(context.Background(), cfg, public, secret.New("rt"), nil); fault.Code(err) != network.CodeTLSUntrusted || asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

func TestRefresh(t *testing.T) {
	e, c := newEHR(t), &smart.Client{}
	held := scopes(t, "openid launch/patient patient/Patient.rs offline_access")

	e.token = says(200, `{"access_token":"at-2","token_type":"Bearer","expires_in":60,"id_token":"not.read.here"}`)
	r, err := c.Refresh(context.Background(), e.cfg(), public, secret.New("rt-1"), held)
	if err != nil {
		t.Fatal(err)
	}
	q := e.seen()[0].form
	if len(q) != 3 || q.Get("grant_type") != "refresh_token" || q.Get("refresh_token") != "rt-1" || q.Get("client_id") != "my-app" {
		t.Errorf("%v", q)
	}
	// x/oauth2 would give the old refresh token back; the caller must see that there is none.
	if !r.RefreshToken.IsEmpty() || r.AccessToken.Reveal() != "at-2" || r.ScopesTold || r.Scopes.String() != held.String() || !r.IDToken.IsEmpty() {
		t.Errorf("%+v", r)
	}

	e.token = says(200, `{"access_token":"at-3","token_type":"Bearer","expires_in":60,"refresh_token":"rt-2","scope":"patient/Patient.rs"}`)
	if r, err = c.Refresh(context.Background(), e.cfg(), public, secret.New("rt-1"), held); err != nil || r.RefreshToken.Reveal() != "rt-2" || r.Scopes.String() != "patient/Patient.rs" || !r.ScopesTold {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestARefreshThatFailsGivesTheReplacedTokenBack(t *testing.T) {
	for body, want := range map[string]string{
		`{"access_token":"at-2","token_type":"mac","refresh_token":"rt-2"}`:            "rt-2",
		`{"token_type":"Bearer","refresh_token":"rt-2"}`:                               "rt-2",
		`{"access_token":"at\n2","token_type":"Bearer","refresh_token":"rt-2"}`:        "rt-2",
		`{"access_token":"at-2","token_type":"mac","refresh_token":"rt\n2"}`:           "",
		`{"access_token":"at-2","token_type":"mac"}`:                                   "",
		`{"error":"invalid_grant","refresh_token":"rt-2"}`:                             "",
		`{"error":"server_error","access_token":"at","refresh_token":"of-an-example"}`: "",
	} {
		e := newEHR(t)
		e.token = says(200, body)
		r, err := (&smart.Client{}).Refresh(context.Background(), e.cfg(), public, secret.New("rt-1"), nil)
		if err == nil || r.RefreshToken.Reveal() != want || !r.AccessToken.IsEmpty() {
			t.Errorf("%s: %q, %v", body, r.RefreshToken.Reveal(), err)
		}
	}
}

func TestTheClientsOwnTimeIsUp(t *testing.T) {
	e := newEHR(t)
	e.token = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	client := network.NewClient()
	client.Timeout = 100 * time.Millisecond
	_, err := (&smart.Client{HTTP: client}).Refresh(context.Background(), e.cfg(), public, secret.New("rt-1"), nil)
	if fault.Code(err) != network.CodeTimeout {
		t.Errorf("%v (%s)", err, fault.Code(err))
	}
}

func TestTheServersClockIsCompared(t *testing.T) {
	now := time.Now()
	for offset, want := range map[time.Duration]time.Duration{0: 0, 10 * time.Minute: 10 * time.Minute, -3 * time.Hour: -3 * time.Hour} {
		e := newEHR(t)
		c := &smart.Client{Now: func() time.Time { return now }}
		e.token = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", now.Add(offset).UTC().Format(http.TimeFormat))
			says(200, `{"access_token":"at","token_type":"Bearer"}`)(w, r)
		}
		r, err := c.Refresh(context.Background(), e.cfg(), public, secret.New("rt"), nil)
		if err != nil || (r.ServerClockOffset-want).Abs() > time.Second {
			t.Errorf("offset %v, want %v, %v", r.ServerClockOffset, want, err)
		}
		remark := map[time.Duration]string{10 * time.Minute: "10m0s behind the server's", -3 * time.Hour: "3h0m0s ahead of the server's"}[offset]
		if got := strings.Join(r.Warnings, " "); !strings.Contains(got, remark) || (remark == "" && strings.Contains(got, "clock")) {
			t.Errorf("%v is remarked with %q", offset, got)
		}
	}
}

func TestClientAuthentication(t *testing.T) {
	const clientSecret = "p+ss:w%rd/ö"
	const good = `{"access_token":"at","token_type":"Bearer","scope":"x"}`
	refuse := says(401, `{"error":"invalid_client"}`)
	encoded := "Basic " + base64.StdEncoding.EncodeToString([]byte("my-app:p%2Bss%3Aw%25rd%2F%C3%B6"))
	raw := "Basic " + base64.StdEncoding.EncodeToString([]byte("my-app:"+clientSecret))
	only := func(header string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == header {
				says(200, good)(w, r)
				return
			}
			refuse(w, r)
		}
	}
	symmetric := smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "my-app", Secret: secret.New(clientSecret)}
	remembered := symmetric
	remembered.Method = smart.AuthBasicRaw
	registered := symmetric
	registered.Method = smart.AuthPost
	plain := symmetric
	plain.Secret = secret.New("plain-secret_1")
	for _, c := range []struct {
		name    string
		auth    smart.ClientAuth
		listed  []string
		answer  http.HandlerFunc
		headers []string
		method  smart.AuthMethod
		code    string
	}{
		{"encoded Basic", symmetric, nil, only(encoded), []string{encoded}, smart.AuthBasic, ""},
		{"raw Basic after invalid_client", symmetric, nil, only(raw), []string{encoded, raw}, smart.AuthBasicRaw, ""},
		{"raw Basic remembered", remembered, nil, only(raw), []string{raw}, smart.AuthBasicRaw, ""},
		{"raw Basic remembered, and the server mended", remembered, nil, only(encoded), []string{raw, encoded}, smart.AuthBasic, ""},
		{"both refused", symmetric, nil, refuse, []string{encoded, raw}, "", "client-refused"},
		{"no second try where both are the same", plain, nil, refuse, []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("my-app:plain-secret_1"))}, "", "client-refused"},
		{"no second try after another error", symmetric, nil, says(400, `{"error":"invalid_grant"}`), []string{encoded}, "", smart.CodeGrantEnded},
		{"Epic lists post first and Basic too", symmetric, []string{"client_secret_post", "client_secret_basic", "private_key_jwt"}, only(encoded), []string{encoded}, smart.AuthBasic, ""},
		{"post where it is the only one", symmetric, []string{"client_secret_post", "private_key_jwt"}, says(200, good), []string{""}, smart.AuthPost, ""},
		{"post remembered, from a registration", registered, nil, says(200, good), []string{""}, smart.AuthPost, ""},
		{"post remembered, and refused", registered, nil, only(encoded), []string{"", encoded}, smart.AuthBasic, ""},
		{"public", public, nil, says(200, good), []string{""}, smart.AuthNone, ""},
		{"no secret", smart.ClientAuth{Type: smart.ConfidentialSymmetric, ClientID: "my-app"}, nil, refuse, nil, "", "client-secret-missing"},
		{"no client ID", smart.ClientAuth{Type: smart.Public}, nil, refuse, nil, "", "client-id-missing"},
		{"asymmetric without a key", smart.ClientAuth{Type: smart.ConfidentialAsymmetric, ClientID: "my-app"}, nil, refuse, nil, "", "client-key-missing"},
		{"unknown type", smart.ClientAuth{Type: "x", ClientID: "my-app"}, nil, refuse, nil, "", "client-type-unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, client := newEHR(t), &smart.Client{}
			e.token = c.answer
			cfg := e.cfg()
			cfg.TokenEndpointAuthMethodsSupported = c.listed
			r, err := client.Refresh(context.Background(), cfg, c.auth, secret.New("rt"), nil)
			if fault.Code(err) != c.code || r.AuthMethod != c.method {
				t.Errorf("%v, method %q", err, r.AuthMethod)
			}
			if len(e.seen()) != len(c.headers) {
				t.Fatalf("%d requests", len(e.seen()))
			}
			for i, q := range e.seen() {
				if got := q.header.Get("Authorization"); got != c.headers[i] {
					t.Errorf("request %d has %q", i, got)
				}
				inBody := c.headers[i] == ""
				if q.form.Has("client_id") != inBody || q.form.Has("client_secret") != (inBody && c.auth.Type == smart.ConfidentialSymmetric) {
					t.Errorf("body %v", q.form)
				}
			}
		})
	}
}

func FuzzTokenResponse(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"CANARY","token_type":"Bearer","expires_in":3600,"scope":"launch/patient","patient":"1","refresh_token":"CANARY"}`,
		`{"error":"invalid_grant","error_description":"CANARY"}`, `{"error":"CANARY"}`, `{"access_token":"x","token_type":"CANARY"}`,
		`{"access_token":"x","expires_in":"1e9","need_patient_banner":"TRUE","fhirContext":[1,{"reference":"a"}],"patient":"Patient/..","a":{"b":1}}`,
		`null`, `[]`, `<html>CANARY`, ``, `{"access_token":"CANARY` + "\x00" + `"}`, `{"error":"x","error_description":"CANA\u200bRY"}`,
	} {
		f.Add([]byte(s), 200)
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
		cfg := smart.Configuration{AuthorizationEndpoint: "https://ehr.example/a", TokenEndpoint: "https://ehr.example/t"}
		r, err := c.Refresh(context.Background(), cfg, public, secret.New(canary), nil)
		if err != nil {
			got := fault.From(err)
			if got.Code == "internal" || got.Advice == "" {
				t.Errorf("%+v", got)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %v", err, got, got.Unwrap()), canary) {
				t.Errorf("the secret shows: %s", got.Message)
			}
			return
		}
		if status >= 300 || r.AccessToken.IsEmpty() || strings.ContainsAny(r.AccessToken.Reveal()+r.RefreshToken.Reveal(), "\r\n\x00") || r.TokenType != "Bearer" {
			t.Errorf("status %d accepted: %+v", status, r)
		}
		if !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now) {
			t.Errorf("it ran out before it came: %v", r.ExpiresAt)
		}
		if strings.ContainsAny(r.Context.Patient+r.Context.Encounter, "/?#%\\ ") || r.Context.Patient == ".." {
			t.Errorf("patient %q, encounter %q", r.Context.Patient, r.Context.Encounter)
		}
	})
}
