package simulator

import (
	"encoding/json"
	"net/http"

	"chartkey/backend/scope"
)

// capabilities are SMART's, for what is served today and nothing else.
var capabilities = []string{
	"launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric", "client-confidential-asymmetric", "sso-openid-connect",
	"context-banner", "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient", "context-standalone-encounter",
	"permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2",
}

// scopesSupported names examples of each kind, as SMART asks; the grammar allows more.
func scopesSupported() []string {
	out := []string{
		"openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access", registerScope,
		"patient/*.rs", "user/*.rs", "system/*.rs", "patient/*.read", "user/*.read",
	}
	for _, typ := range resourceTypes() {
		out = append(out, "patient/"+typ+"."+(scope.Read|scope.Search).String())
	}
	return out
}

// authMethods are RFC 7591's names of how clients authenticate.
var authMethods = []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}

// oauthMetadata is common to SMART's document and OpenID's.
func (s *Server) oauthMetadata() map[string]any {
	auth := s.issuer()
	return map[string]any{
		"issuer":                 auth,
		"jwks_uri":               auth + "/jwks",
		"authorization_endpoint": auth + "/authorize",
		"token_endpoint":         auth + "/token",
		"revocation_endpoint":    auth + "/revoke",
		"introspection_endpoint": auth + "/introspect",
		"registration_endpoint":  auth + "/register",
		"introspection_endpoint_auth_methods_supported":    authMethods[1:],
		"grant_types_supported":                            grantTypes,
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query"},
		"code_challenge_methods_supported":                 []string{"S256"},
		"token_endpoint_auth_methods_supported":            authMethods,
		"revocation_endpoint_auth_methods_supported":       authMethods,
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
		"authorization_response_iss_parameter_supported":   true,
		"scopes_supported":                                 scopesSupported(),
	}
}

// smartConfiguration is SMART App Launch 2.2, "Conformance".
func (s *Server) smartConfiguration(w http.ResponseWriter, r *http.Request) {
	doc := s.oauthMetadata()
	doc["capabilities"] = capabilities
	doc["user_access_brand_bundle"] = s.Origin() + "/brands.json"
	doc["user_access_brand_identifier"] = map[string]string{"system": brandSystem, "value": brandValue}
	judge(r, "SMART configuration handed out")
	cacheable(w)
	writePublic(w, s.advertised(doc))
}

// openIDConfiguration is OpenID Connect Discovery 1.0 section 3.
func (s *Server) openIDConfiguration(w http.ResponseWriter, r *http.Request) {
	doc := s.oauthMetadata()
	doc["subject_types_supported"] = []string{"public"}
	doc["id_token_signing_alg_values_supported"] = []string{"RS256"}
	doc["claims_supported"] = []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser", "name"}
	judge(r, "OpenID configuration handed out")
	cacheable(w)
	writePublic(w, s.advertised(doc))
}

// smartStyle is what smart_style_url points to (SMART App Launch 2.2, "Styling").
func (s *Server) smartStyle(w http.ResponseWriter, r *http.Request) {
	judge(r, "style handed out")
	cacheable(w)
	writePublic(w, map[string]string{
		"color_background": "#f6f7f9", "color_error": "#a3222c", "color_highlight": "#1c5d99", "color_modal_backdrop": "#00000066",
		"color_success": "#1f6b45", "color_text": "#1d2530", "dim_border_radius": "6px", "dim_font_size": "16px",
		"dim_spacing_size": "16px", "font_family_body": "system-ui, sans-serif", "font_family_heading": "system-ui, sans-serif",
	})
}

// smartStyleDark is the same for an EHR that is worked in at night.
func (s *Server) smartStyleDark(w http.ResponseWriter, r *http.Request) {
	judge(r, "dark style handed out")
	cacheable(w)
	writePublic(w, map[string]string{
		"color_background": "#14181d", "color_error": "#ff9c9c", "color_highlight": "#7db8ee", "color_modal_backdrop": "#000000aa",
		"color_success": "#79c9a0", "color_text": "#e6eaef", "dim_border_radius": "6px", "dim_font_size": "16px",
		"dim_spacing_size": "16px", "font_family_body": "system-ui, sans-serif", "font_family_heading": "system-ui, sans-serif",
	})
}

// cacheable lets clients keep public documents for five minutes: long enough
// to save requests, short enough that a restarted sandbox is noticed.
func cacheable(w http.ResponseWriter) { w.Header().Set("Cache-Control", "public, max-age=300") }

func writePublic(w http.ResponseWriter, doc any) {
	w.Header().Set("Content-Type", "application/json")
	// A client that hung up is no concern of the server's.
	_ = json.NewEncoder(w).Encode(doc)
}
