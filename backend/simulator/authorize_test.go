package simulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// authorize sends one authorization request and does not go on.
func (r running) authorize(q url.Values) (*http.Response, map[string]any) {
	r.t.Helper()
	return r.do(mustRequest(r.t, r.authorizeURL(q)))
}

func TestAuthorizeSendsErrorsBack(t *testing.T) {
	r := start(t, Options{Clients: []Client{{ID: "narrow", Type: Public, RedirectURIs: []string{testRedirect}, Scopes: "patient/Patient.r"}}})
	for name, test := range map[string]struct {
		changes map[string]string
		code    string
	}{
		"no response_type":       {map[string]string{"response_type": "-"}, "invalid_request"},
		"implicit":               {map[string]string{"response_type": "token"}, "unsupported_response_type"},
		"no state":               {map[string]string{"state": "-"}, "invalid_request"},
		"no aud":                 {map[string]string{"aud": "-"}, "invalid_request"},
		"other aud":              {map[string]string{"aud": "https://ehr.example/fhir"}, "invalid_request"},
		"aud of the other name":  {map[string]string{"aud": strings.Replace(r.FHIRBaseURL(), "localhost", "127.0.0.1", 1)}, "invalid_request"},
		"no PKCE":                {map[string]string{"code_challenge": "-", "code_challenge_method": "-"}, "invalid_request"},
		"plain PKCE":             {map[string]string{"code_challenge": testVerifier, "code_challenge_method": "plain"}, "invalid_request"},
		"method left out":        {map[string]string{"code_challenge_method": "-"}, "invalid_request"},
		"S512":                   {map[string]string{"code_challenge_method": "S512"}, "invalid_request"},
		"short challenge":        {map[string]string{"code_challenge": "abc"}, "invalid_request"},
		"padded challenge":       {map[string]string{"code_challenge": testChallenge + "="}, "invalid_request"},
		"no scope":               {map[string]string{"scope": "-"}, "invalid_scope"},
		"broken scope":           {map[string]string{"scope": "patient/Observation.sr"}, "invalid_scope"},
		"nothing offered":        {map[string]string{"scope": "system/*.rs patient/Coverage.rs patient/Patient.c"}, "invalid_scope"},
		"beyond the client":      {map[string]string{"client_id": "narrow", "scope": "patient/*.rs openid"}, "invalid_scope"},
		"launch without launch":  {map[string]string{"scope": "launch patient/*.rs"}, "invalid_request"},
		"launch not issued here": {map[string]string{"scope": "launch patient/*.rs", "launch": "abc"}, "invalid_request"},
		"silent sign-in":         {map[string]string{"prompt": "none"}, "login_required"},
		"request object":         {map[string]string{"request": "eyJ"}, "request_not_supported"},
		"request object by URL":  {map[string]string{"request_uri": "https://app.example/r"}, "request_uri_not_supported"},
		"fragment answer":        {map[string]string{"response_mode": "fragment"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			q := r.request(test.changes)
			resp, _ := r.authorize(q)
			to, err := resp.Location()
			if err != nil || resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), testRedirect+"?") {
				t.Fatalf("%d to %v", resp.StatusCode, to)
			}
			got := to.Query()
			if got.Get("error") != test.code || got.Get("error_description") == "" || got.Get("code") != "" {
				t.Errorf("answer %v", got)
			}
			if got.Get("state") != q.Get("state") || got.Get("iss") != r.issuer() {
				t.Errorf("state %q, iss %q", got.Get("state"), got.Get("iss"))
			}
			for _, c := range got.Get("error_description") {
				if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
					t.Errorf("error_description has %q, which RFC 6749 forbids", c)
				}
			}
			if !strings.Contains(r.lastVerdict(), test.code) {
				t.Errorf("verdict %q", r.lastVerdict())
			}
		})
	}
}

func TestAuthorizeNeverSendsToAnUnknownPlace(t *testing.T) {
	r := start(t, Options{})
	for name, change := range map[string]func(url.Values){
		"unknown client":       func(q url.Values) { q.Set("client_id", "nobody") },
		"no client":            func(q url.Values) { q.Del("client_id") },
		"two clients":          func(q url.Values) { q.Add("client_id", "chartkey-provider") },
		"no redirect URI":      func(q url.Values) { q.Del("redirect_uri") },
		"two redirect URIs":    func(q url.Values) { q.Add("redirect_uri", "http://localhost:18321/callback") },
		"other port":           func(q url.Values) { q.Set("redirect_uri", "http://localhost:9999/callback") },
		"other case":           func(q url.Values) { q.Set("redirect_uri", "http://localhost:18320/Callback") },
		"slash at the end":     func(q url.Values) { q.Set("redirect_uri", testRedirect+"/") },
		"query at the end":     func(q url.Values) { q.Set("redirect_uri", testRedirect+"?x=1") },
		"somewhere else":       func(q url.Values) { q.Set("redirect_uri", "https://evil.example/callback") },
		"markup in the client": func(q url.Values) { q.Set("client_id", "<script>alert(1)</script>") },
	} {
		t.Run(name, func(t *testing.T) {
			q := r.request(nil)
			change(q)
			resp, body := r.authorize(q)
			if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
				t.Fatalf("%d to %q", resp.StatusCode, resp.Header.Get("Location"))
			}
			if page := word(body["page"]); !strings.Contains(page, `role="alert"`) || strings.Contains(page, "<script") {
				t.Errorf("page %s", page)
			}
		})
	}
}

func TestAuthorizeRefusesRepeatedParameters(t *testing.T) {
	r := start(t, Options{})
	for _, name := range []string{"state", "scope", "aud", "code_challenge", "nonce", "response_type"} {
		q := r.request(nil)
		q.Add(name, q.Get(name))
		resp, _ := r.authorize(q)
		to, err := resp.Location()
		if err != nil || to.Query().Get("error") != "invalid_request" {
			t.Errorf("%s twice: %v", name, to)
		}
	}
}

func TestAuthorizeTakesAForm(t *testing.T) {
	r := start(t, Options{})
	resp, _ := r.post("/auth/authorize", r.request(map[string]string{"aud": r.FHIRBaseURL() + "/"}), nil)
	to, err := resp.Location()
	if err != nil || to.Path != "/auth/signin" {
		t.Fatalf("%d to %v", resp.StatusCode, to)
	}
	resp, _ = r.post("/auth/authorize", r.request(map[string]string{"state": strings.Repeat("x", maxQuery)}), nil)
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an endless form: %d", resp.StatusCode)
	}
}

func TestOfferedScopes(t *testing.T) {
	r := start(t, Options{})
	client, _ := r.client("chartkey-demo")
	for asked, want := range map[string]string{
		"patient/*.rs openid fhirUser":                   "patient/*.rs openid fhirUser",
		"patient/Observation.cruds":                      "patient/Observation.rs",
		"patient/Observation.* patient/Condition.write":  "patient/Observation.read",
		"user/*.read user/*.write":                       "user/*.read",
		"launch/patient launch/location patient/Pt.rs":   "launch/patient",
		"patient/Observation.rs?category=laboratory":     "patient/Observation.rs?category=laboratory",
		"patient/Observation.cruds?category=laboratory":  "patient/Observation.rs?category=laboratory",
		"openid patient/Observation.rs?flavor=sweet":     "openid",
		"openid patient/*.rs?category=laboratory":        "openid",
		"openid patient/Observation.rs?date=ge-nonsense": "openid",
		"openid openid system/Patient.rs":                "openid",
	} {
		got, _, oerr := r.offered(client, asked, "patient", "user")
		if oerr != nil || got.String() != want {
			t.Errorf("asked %q: got %q, want %q (%v)", asked, got, want, oerr)
		}
	}
}
