package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestBackendService(t *testing.T) {
	c := newClock()
	key := newKeyPair(t, jose.ES384, "1")
	both := asymmetric("both", []string{grantService, grantCode}, key)
	narrow := asymmetric("narrow", []string{grantService}, key)
	narrow.Scopes = "system/Patient.r"
	r := start(t, Options{Now: c.Now, Clients: []Client{asymmetric("service", []string{grantService}, key), narrow, both, asymmetric("app", nil, key)}})
	ask := func(client, scopes string) map[string]any {
		_, body := r.post("/auth/token", withAssertion(serviceForm(scopes), key.sign(t, r.claims(client), nil)), nil)
		return body
	}
	body := ask("service", "system/Patient.rs system/Observation.cruds system/Coverage.rs user/*.rs openid offline_access")
	if body["scope"] != "system/Patient.rs system/Observation.rs" || body["expires_in"] != float64(300) || body["refresh_token"] != nil || body["id_token"] != nil || body["patient"] != nil {
		t.Fatalf("%v", body)
	}
	if !strings.Contains(r.lastVerdict(), "user/*.rs") {
		t.Errorf("the verdict does not say what was left out: %q", r.lastVerdict())
	}
	token := word(body["access_token"])
	for path, status := range map[string]int{"Patient/amara-nwosu": 200, "Patient/daniel-whitlock": 200, "Observation?patient=peter-chalmers": 200, "Condition": 403} {
		if resp, _ := r.get(path, token, nil); resp.StatusCode != status {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	if _, page := r.get("Patient?_summary=count", token, nil); page["total"] != float64(len(r.records.of("Patient"))) {
		t.Errorf("a service sees %v patients", page["total"])
	}
	c.add(5 * time.Minute)
	if resp, _ := r.get("Patient/amara-nwosu", token, nil); resp.StatusCode != 401 {
		t.Errorf("after five minutes: %d", resp.StatusCode)
	}

	if body := ask("narrow", "system/*.rs system/Patient.r"); body["scope"] != "system/Patient.r" {
		t.Errorf("beyond its registration: %v", body)
	}
	for name, test := range map[string]struct{ client, scopes, code string }{
		"no scope":             {"service", "", "invalid_scope"},
		"nothing of a service": {"service", "user/*.rs launch openid", "invalid_scope"},
		"not a service":        {"app", "system/*.rs", "unauthorized_client"},
	} {
		if body := ask(test.client, test.scopes); body["error"] != test.code {
			t.Errorf("%s: %v", name, body)
		}
	}
	// No person can hand out what is a service's.
	resp, _ := r.authorize(r.request(map[string]string{"client_id": "both", "scope": "system/*.rs"}))
	if to, err := resp.Location(); err != nil || to.Query().Get("error") != "invalid_scope" {
		t.Errorf("a person grants system scopes: %v", to)
	}
	resp, _ = r.authorize(r.request(map[string]string{"client_id": "service"}))
	if to, err := resp.Location(); err != nil || to.Query().Get("error") != "unauthorized_client" {
		t.Errorf("a service signs in: %v", to)
	}
	// A client that is not registered for refresh tokens gets none.
	code := r.signIn(map[string]string{"client_id": "both"}, Choice{}).Get("code")
	_, body = r.post("/auth/token", withAssertion(exchangeForm(code), key.sign(t, r.claims("both"), nil)), nil)
	if body["access_token"] == nil || body["refresh_token"] != nil {
		t.Errorf("%v", body)
	}
}

func TestServicesTakeShorterLivesOnDemand(t *testing.T) {
	key := newKeyPair(t, jose.ES384, "1")
	r := start(t, Options{Settings: Settings{AccessTokenLife: 7 * time.Second}, Clients: []Client{asymmetric("service", []string{grantService}, key)}})
	if _, body := r.post("/auth/token", withAssertion(serviceForm("system/*.rs"), key.sign(t, r.claims("service"), nil)), nil); body["expires_in"] != float64(7) {
		t.Errorf("%v", body)
	}
}
