package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func keySetOf(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestRegistration(t *testing.T) {
	r := start(t, Options{})
	key := newKeyPair(t, jose.ES384, "1")
	register := func(text string) (*http.Response, map[string]any) { return r.control("/auth/register", text, nil) }

	resp, public := register(`{"client_name":"Theirs","redirect_uris":["` + testRedirect + `"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"scope":"openid launch/patient offline_access patient/*.rs","contacts":["ignored"]}`)
	id := word(public["client_id"])
	if resp.StatusCode != 201 || id == "" || public["client_secret"] != nil || public["client_id_issued_at"] == nil || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", resp.StatusCode, public)
	}
	if body := r.connect(map[string]string{"client_id": id}, Choice{}); word(body["refresh_token"]) == "" || strings.Contains(word(body["scope"]), "fhirUser") {
		t.Errorf("a public client's tokens: %v", body)
	}
	resp, secret := register(`{"redirect_uris":["` + testRedirect + `"]}`)
	if resp.StatusCode != 201 || word(secret["client_secret"]) == "" || secret["client_secret_expires_at"] != float64(0) {
		t.Fatalf("%d %v", resp.StatusCode, secret)
	}
	form := exchangeForm(r.signIn(map[string]string{"client_id": word(secret["client_id"])}, Choice{}).Get("code"))
	form.Del("client_id")
	if resp, body := r.post("/auth/token", form, basic(word(secret["client_id"]), word(secret["client_secret"]))); resp.StatusCode != 200 || body["refresh_token"] != nil {
		t.Errorf("RFC 7591's default is a code alone: %d %v", resp.StatusCode, body)
	}
	resp, service := register(`{"token_endpoint_auth_method":"private_key_jwt","grant_types":["client_credentials"],"scope":"system/*.rs","jwks":` + keySetOf(t, key.public) + `}`)
	if resp.StatusCode != 201 || service["response_types"] != nil {
		t.Fatalf("%d %v", resp.StatusCode, service)
	}
	if resp, body := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, r.claims(word(service["client_id"])), nil)), nil); resp.StatusCode != 200 {
		t.Errorf("a service: %d %v", resp.StatusCode, body)
	}

	for name, test := range map[string]struct{ text, code string }{
		"no JSON":             {`{`, "invalid_client_metadata"},
		"no redirect URI":     {`{}`, "invalid_redirect_uri"},
		"script redirect URI": {`{"redirect_uris":["javascript:alert(1)"]}`, "invalid_redirect_uri"},
		"implicit":            {`{"redirect_uris":["a:/b"],"response_types":["token"]}`, "invalid_client_metadata"},
		"password grant":      {`{"redirect_uris":["a:/b"],"grant_types":["password","authorization_code"]}`, "invalid_client_metadata"},
		"another method":      {`{"redirect_uris":["a:/b"],"token_endpoint_auth_method":"tls_client_auth"}`, "invalid_client_metadata"},
		"no keys":             {`{"redirect_uris":["a:/b"],"token_endpoint_auth_method":"private_key_jwt"}`, "invalid_client_metadata"},
		"keys elsewhere":      {`{"redirect_uris":["a:/b"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://192.0.2.1/"}`, "invalid_client_metadata"},
		"a broken scope":      {`{"redirect_uris":["a:/b"],"scope":"patient/x.y"}`, "invalid_client_metadata"},
		"a copy without sign": {`{"redirect_uris":["a:/b"],"grant_types":["` + grantInstance + `"]}`, "invalid_client_metadata"},
	} {
		if resp, body := register(test.text); resp.StatusCode != 400 || body["error"] != test.code {
			t.Errorf("%s: %d %v", name, resp.StatusCode, body)
		}
	}
	if resp, _ := r.post("/auth/register", url.Values{"redirect_uris": {"a:/b"}}, nil); resp.StatusCode != 400 {
		t.Errorf("a form: %d", resp.StatusCode)
	}
}

func TestRegistrationsAreBounded(t *testing.T) {
	b, err := newClientBook(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxDynamic + 10 {
		b.register(Client{ID: fmt.Sprint("r", i)})
	}
	if _, ok := b.find("r9"); ok || len(b.dynamic) != maxDynamic || len(b.list) != maxDynamic+len(presetClients()) {
		t.Errorf("%d clients", len(b.list))
	}
	if _, ok := b.find("chartkey-demo"); !ok {
		t.Error("a preset went")
	}
}

// TestEpicDynamicRegistration follows the four steps of Epic's documentation.
func TestEpicDynamicRegistration(t *testing.T) {
	c := newClock()
	r := start(t, Options{Now: c.Now})
	key := newKeyPair(t, jose.RS256, "")
	signed := r.connect(map[string]string{"scope": "openid fhirUser launch/patient patient/*.rs " + registerScope}, Choice{})
	first := word(signed["access_token"])
	if !strings.Contains(word(signed["scope"]), registerScope) {
		t.Fatalf("granted %v", signed["scope"])
	}
	register := func(token, software, keys string) (*http.Response, map[string]any) {
		return r.control("/auth/register", `{"software_id":"`+software+`","jwks":`+keys+`}`, bearer(token))
	}
	plain := word(r.connect(nil, Choice{})["access_token"])
	for name, test := range map[string]struct {
		token, software, keys string
		status                int
	}{
		"no such token":         {"x", "chartkey-demo", keySetOf(t, key.public), 401},
		"a token for something": {plain, "chartkey-demo", keySetOf(t, key.public), 403},
		"another app":           {first, "chartkey-provider", keySetOf(t, key.public), 400},
		"no key":                {first, "chartkey-demo", "null", 400},
		"an empty set":          {first, "chartkey-demo", `{"keys":[]}`, 400},
		"a private key":         {first, "chartkey-demo", keySetOf(t, jose.JSONWebKey{Key: key.private}), 400},
	} {
		if resp, body := register(test.token, test.software, test.keys); resp.StatusCode != test.status || body["client_id"] != nil {
			t.Errorf("%s: %d %v", name, resp.StatusCode, body)
		}
	}
	resp, client := register(first, "chartkey-demo", keySetOf(t, key.public))
	id := word(client["client_id"])
	if resp.StatusCode != 201 || id == "" || client["token_endpoint_auth_method"] != "none" || client["software_id"] != "chartkey-demo" || client["client_secret"] != nil {
		t.Fatalf("%d %v, %s", resp.StatusCode, client, r.lastVerdict())
	}
	if resp, _ := r.get("Patient/amara-nwosu", first, nil); resp.StatusCode != 401 {
		t.Errorf("the first token afterwards: %d", resp.StatusCode)
	}
	if resp, _ := register(first, "chartkey-demo", keySetOf(t, key.public)); resp.StatusCode != 401 {
		t.Errorf("a second registration with it: %d", resp.StatusCode)
	}

	take := func(edit func(url.Values, map[string]any)) (*http.Response, map[string]any) {
		claims := r.claims(id)
		form := url.Values{"grant_type": {grantInstance}, "client_id": {id}}
		if edit != nil {
			edit(form, claims)
		}
		if !form.Has("assertion") {
			form.Set("assertion", key.sign(t, claims, nil))
		}
		return r.post("/auth/token", form, nil)
	}
	for range 2 {
		resp, body := take(nil)
		if resp.StatusCode != 200 || body["patient"] != "amara-nwosu" || body["refresh_token"] != nil || body["id_token"] != nil || body["scope"] != "openid fhirUser launch/patient patient/*.rs" {
			t.Fatalf("%d %v, %s", resp.StatusCode, body, r.lastVerdict())
		}
		if resp, _ := r.get("Patient/amara-nwosu", word(body["access_token"]), nil); resp.StatusCode != 200 {
			t.Errorf("its token: %d", resp.StatusCode)
		}
	}
	for name, test := range map[string]struct {
		edit func(url.Values, map[string]any)
		code string
	}{
		"no assertion": {func(f url.Values, _ map[string]any) { f.Set("assertion", "") }, "invalid_request"},
		"another aud":  {func(_ url.Values, c map[string]any) { c["aud"] = "https://evil.example" }, "invalid_grant"},
		"another sub":  {func(_ url.Values, c map[string]any) { c["sub"] = "chartkey-demo" }, "invalid_grant"},
		"another key": {func(f url.Values, c map[string]any) {
			f.Set("assertion", newKeyPair(t, jose.ES384, "").sign(t, c, nil))
		}, "invalid_grant"},
		"the app itself":    {func(f url.Values, _ map[string]any) { f.Set("client_id", "chartkey-demo") }, "unauthorized_client"},
		"no client":         {func(f url.Values, _ map[string]any) { f.Del("client_id") }, "invalid_client"},
		"a code of its own": {func(f url.Values, _ map[string]any) { f.Set("grant_type", grantCode) }, "unauthorized_client"},
	} {
		if _, body := take(test.edit); word(body["error"]) != test.code {
			t.Errorf("%s: %v", name, body)
		}
	}
	same := func(_ url.Values, c map[string]any) { c["jti"] = "same" }
	take(same)
	if _, body := take(same); body["error"] != "invalid_grant" {
		t.Errorf("a replay: %v", body)
	}
	c.add(91 * 24 * time.Hour)
	if _, body := take(nil); body["error"] != "invalid_grant" || !strings.Contains(r.lastVerdict(), "has ended") {
		t.Errorf("after its end: %v", body)
	}
}

// FuzzRegistration: whatever the JSON, the answer is a client that the server
// knows or an error, and no page is ever led to by script.
func FuzzRegistration(f *testing.F) {
	s := fuzzServer(f)
	for _, seed := range []string{
		`{"redirect_uris":["http://localhost:9/cb"],"token_endpoint_auth_method":"none"}`, `{}`, `[]`, `{"redirect_uris":["javascript:1"]}`,
		`{"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"RSA","n":"x","e":"AQAB"}]}}`, `{"jwks":{"keys":[{}]},"jwks_uri":"http://localhost/"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := ask(s, http.MethodPost, "/auth/register", string(raw), map[string]string{"Content-Type": "application/json"})
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		client, known := s.client(word(answer["client_id"]))
		switch {
		case w.Code == 400 && answer["error"] != nil && !known:
		case w.Code == 201 && known && client.check() == nil:
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
