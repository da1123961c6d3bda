package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"chartkey/backend/scope"
)

func TestDiscovery(t *testing.T) {
	r := start(t, Options{})
	resp, doc := r.get(".well-known/smart-configuration", "", nil)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age") {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	// SMART App Launch 2.2, "Conformance": what must be there for what is claimed.
	for _, name := range []string{"issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "grant_types_supported", "code_challenge_methods_supported", "capabilities"} {
		if doc[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if methods := doc["code_challenge_methods_supported"].([]any); len(methods) != 1 || methods[0] != "S256" {
		t.Errorf("PKCE methods %v", methods)
	}
	if doc["authorization_response_iss_parameter_supported"] != true {
		t.Error("iss is sent and not advertised")
	}
	for _, name := range []string{"jwks_uri", "authorization_endpoint", "token_endpoint", "revocation_endpoint", "introspection_endpoint", "registration_endpoint", "user_access_brand_bundle"} {
		u, err := url.Parse(word(doc[name]))
		if err != nil || "http://"+u.Host != r.Origin() {
			t.Errorf("%s is %v", name, doc[name])
		}
		if resp, _ := r.do(mustRequest(t, u.String())); resp.StatusCode == http.StatusNotFound {
			t.Errorf("nothing answers at %v", u)
		}
	}
	_, openid := r.do(mustRequest(t, word(doc["issuer"])+"/.well-known/openid-configuration"))
	if openid["issuer"] != doc["issuer"] || openid["jwks_uri"] != doc["jwks_uri"] || openid["subject_types_supported"] == nil || openid["id_token_signing_alg_values_supported"] == nil {
		t.Errorf("OpenID configuration %v", openid)
	}
}

// TestWhatIsAdvertisedIsServed compares the configuration with the handlers, so
// that neither grows without the other.
func TestWhatIsAdvertisedIsServed(t *testing.T) {
	r := start(t, Options{})
	_, doc := r.get(".well-known/smart-configuration", "", nil)
	list := func(name string) (out []string) {
		for _, v := range elements(doc, name) {
			out = append(out, word(v))
		}
		return out
	}
	// SMART App Launch 2.2, "Capabilities": all but smart-app-state, which keeps data for apps.
	want := []string{
		"launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric", "client-confidential-asymmetric", "sso-openid-connect",
		"context-banner", "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient", "context-standalone-encounter",
		"permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2",
	}
	if got := list("capabilities"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("capabilities %v", got)
	}
	for _, g := range append(list("grant_types_supported"), "password") {
		_, body := r.post("/auth/token", url.Values{"grant_type": {g}, "client_id": {"chartkey-demo"}}, nil)
		if advertised := g != "password"; advertised == (body["error"] == "unsupported_grant_type") {
			t.Errorf("the grant type %s: %v", g, body)
		}
	}
	for _, text := range list("scopes_supported") {
		sc, err := scope.Parse(text)
		if err != nil {
			t.Errorf("%v", err)
		}
		if _, ok := r.offer(sc); !ok {
			t.Errorf("the scope %s is advertised and not offered", text)
		}
	}
	for _, method := range list("token_endpoint_auth_methods_supported") {
		if !slices.Contains([]string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}, method) {
			t.Errorf("nothing tests the method %s", method)
		}
	}
	for name := range doc {
		if strings.HasSuffix(name, "_endpoint") && !strings.HasPrefix(word(doc[name]), r.issuer()+"/") {
			t.Errorf("%s is %v", name, doc[name])
		}
	}
	if algorithms := list("token_endpoint_auth_signing_alg_values_supported"); !slices.Equal(algorithms, []string{"RS384", "ES384"}) {
		t.Errorf("algorithms %v", algorithms)
	}
}

func TestCapabilityStatement(t *testing.T) {
	r := start(t, Options{})
	resp, doc := r.get("metadata", "", nil)
	if resp.StatusCode != 200 || doc["fhirVersion"] != "4.0.1" || doc["kind"] != "instance" {
		t.Fatalf("%d %v", resp.StatusCode, doc["fhirVersion"])
	}
	rest := doc["rest"].([]any)[0].(map[string]any)
	got := map[string]string{}
	for _, e := range elements(rest, "security.extension.extension") {
		got[first(e, "url")] = first(e, "valueUri")
	}
	if got["authorize"] != r.issuer()+"/authorize" || got["token"] != r.issuer()+"/token" || got["revoke"] != r.issuer()+"/revoke" {
		t.Errorf("oauth-uris %v", got)
	}

	// What is declared is served: each parameter is accepted by a strict search.
	token := word(r.connect(map[string]string{"scope": "user/*.rs"}, Choice{Username: "dr.okafor", Password: practitionerPassword})["access_token"])
	sample := map[string]string{paramToken: "x", paramReference: "x", paramDate: "2024", paramString: "x"}
	var types []string
	for _, res := range rest["resource"].([]any) {
		typ := first(res, "type")
		types = append(types, typ)
		for _, p := range elements(res, "searchParam") {
			path := typ + "?" + url.Values{first(p, "name"): {sample[first(p, "type")]}}.Encode()
			resp, body := r.get(path, token, func(q *http.Request) { q.Header.Set("Prefer", "handling=strict") })
			if resp.StatusCode != 200 {
				t.Errorf("%s: %d %v", path, resp.StatusCode, body)
			}
		}
	}
	if !slices.Equal(types, resourceTypes()) || !slices.IsSorted(types) {
		t.Errorf("types %v", types)
	}
}
