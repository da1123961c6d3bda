package simulator

import (
	"net/http"
	"testing"
)

func TestCORS(t *testing.T) {
	r := start(t, Options{Clients: []Client{{ID: "web", Type: Public, RedirectURIs: []string{"https://app.example:8443/cb"}, LaunchURL: "https://launch.example/"}, {ID: "native", Type: Public, RedirectURIs: []string{"com.example.app:/cb"}}}})
	token := word(r.connect(nil, Choice{})["access_token"])
	for name, test := range map[string]struct {
		path, origin string
		preflight    bool
		allow        string
		status       int
	}{
		"discovery, anyone":         {"/fhir/.well-known/smart-configuration", "https://any.example", false, "*", 200},
		"discovery, asked before":   {"/fhir/.well-known/smart-configuration", "https://any.example", true, "*", 204},
		"metadata, anyone":          {"/fhir/metadata", "null", false, "*", 200},
		"keys, anyone":              {"/auth/jwks", "https://any.example", false, "*", 200},
		"OpenID, anyone":            {"/auth/.well-known/openid-configuration", "https://any.example", false, "*", 200},
		"brands, anyone":            {"/brands.json", "https://any.example", false, "*", 200},
		"style, anyone":             {"/smart-style.json", "https://any.example", false, "*", 200},
		"FHIR, its app":             {"/fhir/Patient/amara-nwosu", "https://app.example:8443", false, "https://app.example:8443", 200},
		"FHIR, by its launch URL":   {"/fhir/Patient/amara-nwosu", "https://launch.example", false, "https://launch.example", 200},
		"FHIR, asked before":        {"/fhir/Patient/amara-nwosu", "https://app.example:8443", true, "https://app.example:8443", 204},
		"FHIR, another port":        {"/fhir/Patient/amara-nwosu", "https://app.example", false, "", 200},
		"FHIR, a stranger asks":     {"/fhir/Patient/amara-nwosu", "https://any.example", true, "", 403},
		"FHIR, a scheme as origin":  {"/fhir/Patient/amara-nwosu", "com.example.app://", false, "", 200},
		"FHIR, a page of no origin": {"/fhir/Patient/amara-nwosu", "null", true, "", 403},
		"token, asked before":       {"/auth/token", "https://app.example:8443", true, "https://app.example:8443", 204},
		"token, a stranger asks":    {"/auth/token", "https://any.example", true, "", 403},
		"revocation, asked before":  {"/auth/revoke", "https://app.example:8443", true, "https://app.example:8443", 204},
		"authorize":                 {"/auth/authorize", "https://app.example:8443", true, "", 405},
		"registration":              {"/auth/register", "https://app.example:8443", true, "", 405},
		"control":                   {"/control/launch", "https://app.example:8443", true, "", 405},
		"a page":                    {"/", "https://app.example:8443", false, "", 200},
	} {
		req := mustRequest(t, r.Origin()+test.path)
		req.Header.Set("Origin", test.origin)
		req.Header.Set("Authorization", "Bearer "+token)
		if test.preflight {
			req.Method = http.MethodOptions
			req.Header.Del("Authorization")
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Access-Control-Request-Headers", "authorization")
		}
		resp, _ := r.do(req)
		h := resp.Header
		if got := h.Get("Access-Control-Allow-Origin"); got != test.allow || resp.StatusCode != test.status || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d, allowed %q", name, resp.StatusCode, got)
		}
		if test.allow != "" && test.allow != "*" && h.Get("Vary") != "Origin" {
			t.Errorf("%s: a cache may give it to another origin", name)
		}
		if test.allow != "" && test.preflight && (h.Get("Access-Control-Allow-Methods") == "" || h.Get("Access-Control-Allow-Headers") == "") {
			t.Errorf("%s: %v", name, h)
		}
	}
}
