package simulator

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func bearer(token string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+token) }
}

func TestIntrospection(t *testing.T) {
	c := newClock()
	key := newKeyPair(t, jose.ES384, "1")
	r := start(t, Options{Now: c.Now, Clients: []Client{asymmetric("service", []string{grantService}, key)}})
	no := false
	body := r.launched(LaunchRequest{Patient: "amara-nwosu", Encounter: "amara-nwosu-visit-1", Intent: "order", NeedPatientBanner: &no, FHIRContext: []FHIRContextItem{{Reference: "Task/1"}}}, ehrScopes, Choice{})
	access, refresh := word(body["access_token"]), word(body["refresh_token"])
	form := func(token string) url.Values { return url.Values{"token": {token}} }
	own := basic("chartkey-confidential", SandboxSecret)

	_, got := r.post("/auth/introspect", form(access), own)
	for name, want := range map[string]any{
		"active": true, "client_id": "chartkey-provider", "scope": ehrScopes, "token_type": "Bearer", "exp": float64(c.Now().Add(time.Hour).Unix()), "iss": r.issuer(), "sub": "sandbox-dr.okafor", "username": "dr.okafor",
		"patient": "amara-nwosu", "encounter": "amara-nwosu-visit-1", "intent": "order", "need_patient_banner": false, "fhirUser": r.FHIRBaseURL() + "/Practitioner/nneka-okafor",
		"fhirContext": []any{map[string]any{"reference": "Task/1"}},
	} {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if _, got = r.post("/auth/introspect", form(refresh), own); got["active"] != true || got["token_type"] != "refresh_token" {
		t.Errorf("a refresh token: %v", got)
	}
	if _, got = r.post("/auth/introspect", form(access), bearer(access)); got["active"] != true {
		t.Errorf("by the token itself: %v", got)
	}
	_, service := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, r.claims("service"), nil)), nil)
	if _, got = r.post("/auth/introspect", form(word(service["access_token"])), own); got["active"] != true || got["sub"] != "service" || got["patient"] != nil || got["fhirUser"] != nil {
		t.Errorf("a service's: %v", got)
	}
	if _, got = r.post("/auth/introspect", withAssertion(form(access), key.sign(t, r.claims("service"), nil)), nil); got["active"] != true {
		t.Errorf("asked by a service: %v", got)
	}

	inactive := func(name, token, verdict string, edit func(*http.Request)) {
		t.Helper()
		resp, got := r.post("/auth/introspect", form(token), edit)
		if resp.StatusCode != 200 || !reflect.DeepEqual(got, map[string]any{"active": false}) || !strings.Contains(r.lastVerdict(), verdict) {
			t.Errorf("%s: %d %v, %q", name, resp.StatusCode, got, r.lastVerdict())
		}
	}
	inactive("nonsense", "x", "not known", own)
	inactive("another client's, by a bearer", access, "another client's", bearer(word(service["access_token"])))
	r.post("/auth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"chartkey-provider"}}, nil)
	inactive("replaced", refresh, "replaced", own)
	c.add(time.Hour)
	inactive("expired", access, "expired", own)

	for name, test := range map[string]struct {
		form   url.Values
		edit   func(*http.Request)
		status int
	}{
		"no one asks":       {form(access), nil, 401},
		"a public client":   {url.Values{"token": {access}, "client_id": {"chartkey-demo"}}, nil, 401},
		"a wrong secret":    {form(access), basic("chartkey-confidential", "x"), 401},
		"an expired bearer": {form(access), bearer(access), 401},
		"no token":          {url.Values{}, own, 400},
	} {
		if resp, got := r.post("/auth/introspect", test.form, test.edit); resp.StatusCode != test.status || got["active"] != nil {
			t.Errorf("%s: %d %v", name, resp.StatusCode, got)
		}
	}
}
