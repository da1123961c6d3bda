package simulator

import (
	"io"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestReset(t *testing.T) {
	r := start(t, Options{Patients: 3})
	body := r.connect(nil, Choice{})
	_, launch := r.launch(LaunchRequest{Patient: "amara-nwosu"})
	code := r.signIn(nil, Choice{}).Get("code")
	b, address, _ := r.atSignIn(nil)
	_, registered := r.control("/auth/register", `{"redirect_uris":["`+testRedirect+`"],"token_endpoint_auth_method":"none"}`, nil)
	if err := r.Register(Client{ID: "kept", Type: Public, RedirectURIs: []string{testRedirect}}); err != nil {
		t.Fatal(err)
	}
	if resp, body := r.control("/control/reset", `{}`, nil); resp.StatusCode != 200 || body["reset"] != true {
		t.Fatalf("%d %v", resp.StatusCode, body)
	}
	if n := len(r.Requests()); n != 1 {
		t.Errorf("the log keeps %d requests beside the reset", n-1)
	}
	if resp, _ := r.get("Patient/amara-nwosu", word(body["access_token"]), nil); resp.StatusCode != 401 {
		t.Errorf("the access token: %d", resp.StatusCode)
	}
	if resp, _ := r.post("/auth/token", refreshForm(word(body["refresh_token"])), nil); resp.StatusCode != 400 {
		t.Errorf("the refresh token: %d", resp.StatusCode)
	}
	if resp, _ := r.post("/auth/token", exchangeForm(code), nil); resp.StatusCode != 400 {
		t.Errorf("the code: %d", resp.StatusCode)
	}
	if resp, _ := r.visit(b, "GET", address, nil); resp.StatusCode != 400 {
		t.Errorf("the sign-in under way: %d", resp.StatusCode)
	}
	resp, _ := r.authorize(r.request(map[string]string{"client_id": "chartkey-provider", "launch": launch, "scope": ehrScopes}))
	if to, err := resp.Location(); err != nil || to.Query().Get("error") != "invalid_request" {
		t.Errorf("the launch: %v", to)
	}
	if _, ok := r.client(word(registered["client_id"])); ok {
		t.Error("the client that registered itself is still there")
	}
	for _, id := range []string{"kept", "chartkey-demo"} {
		if _, ok := r.client(id); !ok {
			t.Errorf("%s is gone", id)
		}
	}
	if body := r.connect(nil, Choice{}); body["access_token"] == nil {
		t.Error("no one can sign in afterwards")
	}
}

func TestSeveralSimulatorsAtOnce(t *testing.T) {
	one, two := start(t, Options{Patients: 5, Seed: 1}), start(t, Options{Patients: 5, Seed: 2})
	token := word(one.connect(map[string]string{"scope": "user/*.rs"}, Choice{Username: "dr.okafor", Password: practitionerPassword})["access_token"])
	if one.Origin() == two.Origin() {
		t.Fatal("they share an address")
	}
	if resp, _ := two.get("Patient/amara-nwosu", token, nil); resp.StatusCode != 401 {
		t.Errorf("one's token opens the other: %d", resp.StatusCode)
	}
	_, launch := one.launch(LaunchRequest{})
	resp, _ := two.authorize(two.request(map[string]string{"client_id": "chartkey-provider", "launch": launch, "scope": ehrScopes}))
	if to, err := resp.Location(); err != nil || to.Query().Get("error") != "invalid_request" {
		t.Errorf("one's launch works at the other: %v", to)
	}
	two.Reset()
	if resp, _ := one.get("Patient/generated-00005", token, nil); resp.StatusCode != 200 {
		t.Errorf("the other's reset ended it: %d", resp.StatusCode)
	}
}

func TestControlSettings(t *testing.T) {
	r := start(t, Options{})
	patch := func(body string) (int, map[string]any) {
		t.Helper()
		req := mustRequest(t, r.Origin()+"/control/settings")
		req.Method = "PATCH"
		req.Header.Set("Content-Type", "application/json")
		req.Body = io.NopCloser(strings.NewReader(body))
		resp, got := r.do(req)
		return resp.StatusCode, got
	}
	status, got := patch(`{"access_token_seconds":3,"skip_consent":true,"signed_in_as":"amara"}`)
	if status != 200 || got["access_token_seconds"] != float64(3) || got["code_seconds"] != float64(60) {
		t.Fatalf("%d %v", status, got)
	}
	if s := r.Settings(); s.AccessTokenLife != 3*time.Second || !s.SkipConsent || s.SignedInAs != "amara" {
		t.Errorf("%+v", s)
	}
	if body := r.connect(nil, Choice{}); body["expires_in"] != float64(3) {
		t.Errorf("expires_in %v", body["expires_in"])
	}
	for _, body := range []string{`{"signed_in_as":"nobody"}`, `{"code_seconds":-1}`, `{"unknown":1}`, `{`} {
		if status, _ := patch(body); status != 422 && status != 400 {
			t.Errorf("%s: %d", body, status)
		}
	}
	if status, got := patch(`{"refresh_token_seconds":1e300}`); status != 200 || r.Settings().RefreshTokenLife <= 0 {
		t.Errorf("an endless life: %d %v", status, got)
	}
	if _, got := r.do(mustRequest(t, r.Origin()+"/control/settings")); got["access_token_seconds"] != float64(3) {
		t.Errorf("%v", got)
	}
}

func TestKeysCanBeRegistered(t *testing.T) {
	r := start(t, Options{})
	key := newKeyPair(t, "ES384", "1")
	works := func() bool {
		resp, _ := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, r.claims("chartkey-backend"), nil)), nil)
		return resp.StatusCode == 200
	}
	b := newBrowser(t, r)
	post := func(pairs ...string) (int, string) {
		resp, page := r.visit(b, "POST", r.Origin()+"/keys", withFields(url.Values{}, pairs...))
		return resp.StatusCode, page
	}
	for name, pairs := range map[string][]string{
		"a public client":  {"client_id", "chartkey-demo", "jwks", keySetOf(t, key.public)},
		"neither":          {"client_id", "chartkey-backend"},
		"both":             {"client_id", "chartkey-backend", "jwks", keySetOf(t, key.public), "jwks_uri", "https://x.example/"},
		"no JSON":          {"client_id", "chartkey-backend", "jwks", "x"},
		"an address by ip": {"client_id", "chartkey-backend", "jwks_uri", "http://192.0.2.1/"},
	} {
		if status, page := post(pairs...); status != 422 || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: %d", name, status)
		}
	}
	if works() {
		t.Fatal("a preset works without a key")
	}
	if status, page := post("client_id", "chartkey-backend", "jwks", keySetOf(t, key.public)); status != 303 || !works() {
		t.Errorf("%d %s", status, page)
	}
	if resp, body := r.control("/control/client", `{"client_id":"chartkey-backend","client_type":"confidential-asymmetric","grant_types":["client_credentials"],"jwks":`+keySetOf(t, newKeyPair(t, "ES384", "1").public)+`}`, nil); resp.StatusCode != 200 || works() {
		t.Errorf("replaced: %d %v", resp.StatusCode, body)
	}
	if resp, body := r.control("/control/client", `{"client_id":"x","client_type":"public"}`, nil); resp.StatusCode != 422 || body["error"] != "client_refused" {
		t.Errorf("a client without a redirect URI: %d %v", resp.StatusCode, body)
	}
}
